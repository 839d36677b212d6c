"""An embedded model server with TensorFlow Serving's API."""
