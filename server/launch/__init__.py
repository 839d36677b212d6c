"""From flags to a running process: options, settings, workers, the log."""
