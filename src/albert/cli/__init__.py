"""The command line: parses, calls a recipe, prints its result."""
