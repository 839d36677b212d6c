"""TensorFlow's names for what a signature does.

Source: tensorflow/cc/saved_model/signature_constants.h
"""

from __future__ import annotations

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
