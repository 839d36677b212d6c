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
from exporter.publish.content import SignatureContent
from wire import serving_pb2 as pb
from wire.methods import CLASSIFY, REGRESS
from wire.tensors import from_array


def write(version_dir: Path, model: str, contents: Iterable[SignatureContent]) -> None:
    """Writes one record a request into a version's `assets.extra`.

    Args:
        version_dir: Where the model has been saved.
        model: Its name.
        contents: Its signatures, with their requests.
    """
    with tf.io.TFRecordWriter(str(version_dir / versions.WARMUP)) as writer:
        for content in contents:
            spec = pb.ModelSpec(name=model, signature_name=content.name)
            for inputs in content.warmup:
                record = _record(spec, content.record.method_name, inputs)
                writer.write(record.SerializeToString())


def _record(spec: pb.ModelSpec, method: str, inputs: Mapping[str, np.ndarray]) -> pb.PredictionLog:
    if method not in (CLASSIFY, REGRESS):
        tensors = {name: from_array(array) for name, array in inputs.items()}
        request = pb.PredictRequest(model_spec=spec, inputs=tensors)
        return pb.PredictionLog(predict_log=pb.PredictLog(request=request))
    (serialized,) = inputs.values()
    examples = pb.ExampleList(examples=[pb.Example.FromString(data) for data in serialized])
    content = pb.Input(example_list=examples)
    if method == CLASSIFY:
        classify = pb.ClassificationRequest(model_spec=spec, input=content)
        return pb.PredictionLog(classify_log=pb.ClassifyLog(request=classify))
    regress = pb.RegressionRequest(model_spec=spec, input=content)
    return pb.PredictionLog(regress_log=pb.RegressLog(request=regress))
