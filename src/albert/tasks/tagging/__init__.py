"""A tag for every word: records, files, features, solver."""
