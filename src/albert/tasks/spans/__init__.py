"""Questions answered by a span of a passage, or by nothing in it."""
