"""Where versions are: in directories, or in buckets and on the hub."""
