"""Configuration, encoder, attention, heads, losses."""
