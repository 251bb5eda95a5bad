"""Tagging: a tag for every word of a sentence, such as its entity."""
