"""Engines: what runs a model. `interface.py` says what every engine takes and gives, `engines.py` opens one by name,
and each other file is one of them. torch, transformers, vllm and ray are imported here, in model loading and in the
trainer only. Nothing here knows of problems, runs or the command line.
"""
