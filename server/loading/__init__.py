"""From a version's directory to a servable: engine, warm-up, batch sizes."""
