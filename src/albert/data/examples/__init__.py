"""Masked examples and the order of sentences: settings, segments, masking, the stream."""
