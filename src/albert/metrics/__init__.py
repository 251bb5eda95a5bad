"""Scores: pure functions of numbers; never loads torch."""
