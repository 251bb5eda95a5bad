"""Weights to disk and back: model folders, training checkpoints, tensor names."""
