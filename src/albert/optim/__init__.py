"""LAMB, the original's AdamW, learning-rate schedules."""
