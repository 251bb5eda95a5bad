"""Curves and pages on runs, read from their logs."""
