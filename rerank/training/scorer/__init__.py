"""The scorer: examples to tensors, the training loop, evaluation on dev, and averages of several scorers."""
