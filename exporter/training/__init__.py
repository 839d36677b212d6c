"""The models that are trained here: an application of the exporter."""
