"""Models: from a name to files on this machine, and from files to a model in memory; scorers with their cards.
Only `loading.py`, `gguf.py` and `fused.py` import torch. Nothing here asks a model anything: that is an engine's.
"""
