"""The REST face: JSON in and out, as TensorFlow Serving reads and writes it."""
