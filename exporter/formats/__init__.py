"""A published model in other forms: TensorFlow.js, TensorFlow Lite, Keras."""
