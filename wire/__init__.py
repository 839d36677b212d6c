"""TensorFlow Serving's API on the wire: messages, services, and tensors as NumPy arrays."""
