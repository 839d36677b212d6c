"""An exported model inside TensorFlow code: TF Hub, Keras 2, Keras 3 and plain `tf.GradientTape`.

Run it with `python -m exporter reuse`.
"""
