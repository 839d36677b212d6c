"""From a request to its answer: find, admit, check, execute, log, count."""
