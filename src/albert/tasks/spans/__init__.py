"""Questions answered by a span of a passage: records, files, windows, decoding, solver."""
