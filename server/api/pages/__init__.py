"""What the server tells about itself, outside the official paths."""
