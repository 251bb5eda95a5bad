"""Curves and pages about runs, read from their logs."""
