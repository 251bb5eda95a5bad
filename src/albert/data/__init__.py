"""From text files to token shards, and from token shards to masked examples; never loads torch."""
