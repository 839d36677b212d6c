"""SavedModels that TensorFlow writes for the tests."""

import shutil
from pathlib import Path

import numpy as np


def half_plus_two(base, version=1, *, bias=2.0):
    """Writes y = x / 2 + 2 with the signatures of TensorFlow Serving's own test model.

    Source: tensorflow_serving/servables/tensorflow/testdata/saved_model_half_plus_two.py
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with v1.Session(graph=tf.Graph()) as session:
        a = v1.get_variable("a", initializer=0.5)
        b = v1.get_variable("b", initializer=bias)
        c = v1.get_variable("c", initializer=bias + 1)
        serialized = v1.placeholder(tf.string, [None], name="tf_example")
        features = {
            name: tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0])
            for name in ("x", "x2")
        }
        example = tf.io.parse_example(serialized, features)
        x = tf.identity(example["x"], name="x")
        y = tf.add(tf.multiply(a, x), b, name="y")
        y2 = tf.add(tf.multiply(a, x), c, name="y2")
        y3 = tf.add(tf.multiply(a, tf.identity(example["x2"], name="x2")), c, name="y3")
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def
        serving = "tensorflow/serving/"
        signatures = {
            "serving_default": signature({"x": info(x)}, {"y": info(y)}, serving + "predict"),
            "classify_x_to_y": signature(
                {"inputs": info(serialized)}, {"scores": info(y)}, serving + "classify"
            ),
        }
        for name, output in (("x_to_y", y), ("x_to_y2", y2), ("x2_to_y3", y3)):
            signatures[f"regress_{name}"] = signature(
                {"inputs": info(serialized)}, {"outputs": info(output)}, serving + "regress"
            )
        session.run(v1.global_variables_initializer())
        return _publish(base, version, lambda path: _save_v1(session, path, signatures))


def every_dtype(base, version=1):
    """Writes a TF2 model with one signature a dtype, each the identity and named after it."""
    import tensorflow as tf

    module = tf.Module()
    signatures = {}
    for dtype in DTYPES:
        spec = tf.TensorSpec(None, dtype, name="x")
        function = tf.function(lambda x: {"y": tf.identity(x)}, input_signature=[spec])
        signatures[dtype] = function.get_concrete_function()
    signatures["strings"] = tf.function(
        lambda x: {"text": x, "raw_bytes": tf.strings.join([x, x])},
        input_signature=[tf.TensorSpec(None, tf.string, name="x")],
    ).get_concrete_function()
    signatures["two"] = tf.function(
        lambda a, b: {"sum": tf.cast(a, tf.float32) + b, "difference": tf.cast(a, tf.float32) - b},
        input_signature=[
            tf.TensorSpec(None, tf.int32, name="a"),
            tf.TensorSpec(None, tf.float32, name="b"),
        ],
    ).get_concrete_function()

    def scale(x, by=tf.constant(3.0)):  # noqa: B008
        return {"y": x * by}

    signatures["default"] = tf.function(
        scale,
        input_signature=[
            tf.TensorSpec([None], tf.float32, name="x"),
            tf.TensorSpec([], tf.float32, name="by"),
        ],
    )
    signatures["serving_default"] = signatures["float32"]
    module.functions = list(signatures.values())
    return _publish(
        base, version, lambda path: tf.saved_model.save(module, path, signatures=signatures)
    )


def picky(base, version=1):
    """Writes a model that refuses negative numbers at run time."""
    import tensorflow as tf

    module = tf.Module()

    def check(x):
        with tf.control_dependencies([tf.debugging.assert_positive(x, "only positive numbers")]):
            return {"y": tf.identity(x)}

    module.check = tf.function(check, input_signature=[tf.TensorSpec([None], name="x")])
    signatures = {"serving_default": module.check.get_concrete_function()}
    return _publish(
        base, version, lambda path: tf.saved_model.save(module, path, signatures=signatures)
    )


def tflite(base, version=1):
    """Writes a version with only a `model.tflite`: y = x @ TFLITE_WEIGHTS."""
    import tensorflow as tf

    module = tf.Module()
    module.multiply = tf.function(
        lambda x: {"y": tf.matmul(x, TFLITE_WEIGHTS)},
        input_signature=[tf.TensorSpec([None, 2], name="x")],
    )
    signature = module.multiply.get_concrete_function()
    saved = Path(base).parent / "saved_model_of_tflite"
    tf.saved_model.save(module, str(saved), signatures={"serving_default": signature})
    content = tf.lite.TFLiteConverter.from_saved_model(str(saved)).convert()
    target = Path(base) / str(version)
    target.mkdir(parents=True)
    (target / "model.tflite").write_bytes(content)
    return target


def older_tflite(base, version=1, *, stored=None):
    """Writes what `tflite` does as an older converter did: no signatures, no `:0` in names.

    Args:
        base: Of the model.
        version: Its number.
        stored: A SignatureDef by name, for the metadata.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import flexbuffers

    path = tflite(base, version) / "model.tflite"
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    model.signatureDefs = None
    for tensor in model.subgraphs[0].tensors:
        tensor.name = tensor.name.decode().partition(":")[0]
    if stored is not None:
        builder = flexbuffers.Builder()
        with builder.Map():
            for name, signature in stored.items():
                builder.Key(name)
                builder.String(signature.SerializeToString().decode("latin-1"))
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = list(builder.Finish())
        entry.name, entry.buffer = "signature_defs_metadata", len(model.buffers)
        model.buffers.append(buffer)
        model.metadata = [*(model.metadata or []), entry]
    packed = flatbuffers.Builder()
    packed.Finish(model.Pack(packed), b"TFL3")
    path.write_bytes(packed.Output())
    return path.parent


TFLITE_WEIGHTS = np.float32([[1, -1, 0.5], [2, 0, 0.25]])

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "int8", "uint8", "int16", "uint16",
    "int32", "uint32", "int64", "uint64", "bool", "string", "complex64", "complex128",
)  # fmt: skip


def random(dtype, shape, seed=0):
    """Returns an array of a TensorFlow dtype with values all over its range."""
    import ml_dtypes

    generator = np.random.default_rng(seed)
    if dtype == "string":
        values = np.empty(int(np.prod(shape)), object)
        values[:] = [f"text {n}".encode() for n in range(values.size)]
        return values.reshape(shape)
    if dtype == "bool":
        return generator.random(shape) < 0.5
    if dtype.startswith("complex"):
        return (generator.normal(size=shape) + 1j * generator.normal(size=shape)).astype(dtype)
    if "int" in dtype:
        info = np.iinfo(dtype)
        return generator.integers(info.min, info.max, shape, dtype, endpoint=True)
    return generator.normal(size=shape).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def _save_v1(session, path, signatures):
    import tensorflow as tf

    builder = tf.compat.v1.saved_model.Builder(path)
    builder.add_meta_graph_and_variables(session, ["serve"], signatures)
    builder.save()


def _publish(base, version, save):
    staging = Path(base) / f".staging-{version}"
    shutil.rmtree(staging, ignore_errors=True)
    save(str(staging))
    target = Path(base) / str(version)
    staging.rename(target)
    return target
