"""PyTorch modules that run a topology in a model."""
