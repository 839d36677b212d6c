"""Warm-up records: requests that a server answers itself before a version becomes available.

The file is a TFRecord file of PredictionLog protos:
https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from artifact import versions
from wire import serving_pb2 as pb
from wire.tensors import from_array


def write(
    version_dir: Path,
    model: str,
    requests: Mapping[str, Iterable[Mapping[str, np.ndarray]]],
) -> None:
    """Writes one record a request into a version's `assets.extra`.

    Args:
        version_dir: Where the model has been saved.
        model: Its name.
        requests: Inputs by name; some for each signature.
    """
    pairs = [(signature, inputs) for signature in requests for inputs in requests[signature]]
    with tf.io.TFRecordWriter(str(version_dir / versions.WARMUP)) as writer:
        for signature, inputs in pairs:
            request = pb.PredictRequest(
                model_spec=pb.ModelSpec(name=model, signature_name=signature),
                inputs={name: from_array(array) for name, array in inputs.items()},
            )
            log = pb.PredictionLog(predict_log=pb.PredictLog(request=request))
            writer.write(log.SerializeToString())
