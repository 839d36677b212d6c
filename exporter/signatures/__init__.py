"""TensorFlow around a signature's function: files and tf.Examples come in, names of classes go out.

A JAX function takes and gives numbers. A `ProcessedSignature` of a `Model` puts TensorFlow ops
around it: an image file is decoded, resized and normalised before, scores become class names
after. The function in the middle stays the version's own program.
"""
