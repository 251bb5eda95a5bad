"""Uses what was trained: pipelines."""
