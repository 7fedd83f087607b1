"""What a run keeps: every path, what is done, and the cache of observations."""
