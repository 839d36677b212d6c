"""Several requests in one execution: no wait when idle, larger batches under load."""
