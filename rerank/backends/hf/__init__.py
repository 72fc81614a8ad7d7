"""The engine over transformers: judging with shared parts read once, sampling, and likelihoods, on a CPU or one GPU.
May import torch at the top; nothing outside this room imports its files but `backends/engines.py` and the trainer.
"""
