"""The command lines of google-research/albert, word for word: its flags, its files, our engine."""
