"""Text files to token shards, token shards to masked examples; never loads torch."""
