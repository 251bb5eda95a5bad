"""Multiple choice: records, files, features, solver."""
