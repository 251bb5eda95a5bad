"""The loop, its settings and its log."""
