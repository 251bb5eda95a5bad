"""Scores, as pure functions of labels and predictions; never loads torch."""
