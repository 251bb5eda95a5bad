"""Multiple choice: choosing one of several answers to a question on a passage."""
