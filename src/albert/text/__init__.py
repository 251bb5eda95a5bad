"""From text to token ids and back, with offsets; never loads torch."""
