"""Text to pieces and back, with offsets; never loads torch."""
