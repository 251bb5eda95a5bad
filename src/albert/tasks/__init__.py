"""What a benchmark is: records, readers, features."""
