"""Token shards: the folder, its files, and the jobs that write them."""
