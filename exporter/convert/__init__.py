"""A traced model in TensorFlow: one writer of SavedModels, and two converters of functions."""
