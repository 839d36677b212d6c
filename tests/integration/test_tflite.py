"""Models in the LiteRT interpreter: float as exact as JAX, quantised smaller and close."""

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="needs jax: pip install -e '.[exporter]'")
pytest.importorskip("tensorflow", reason="needs tensorflow: pip install -e '.[exporter]'")
pytest.importorskip("ai_edge_litert", reason="needs ai-edge-litert: pip install -e '.[reuse]'")

from exporter import own_model, tflite  # noqa: E402
from exporter.errors import UserError  # noqa: E402
from tests import models  # noqa: E402


@pytest.mark.slow
def test_every_kind_is_smaller_and_close_to_jax(tmp_path):
    layers = [np.random.default_rng(k).normal(size=(64, 64)).astype(np.float32) / 8 for k in (0, 1)]
    model = own_model(
        "dense",
        lambda params, x: jax.nn.relu(x @ params[0]) @ params[1],
        layers,
        jax.ShapeDtypeStruct((1, 64), "float32"),
    )
    results = {result.kind: result for result in tflite.write(model, tmp_path, batch_size=2)}
    assert results.keys() == set(tflite.KINDS)
    assert results["float32"].max_abs_err <= 1e-5
    for kind, share in (("float16", 0.6), ("dynamic", 0.4), ("int8", 0.4)):
        assert results[kind].num_bytes < share * results["float32"].num_bytes
        assert 0 < results[kind].relative_err < 0.1
    content = (tmp_path / "dense_float32.tflite").read_bytes()
    inputs = models.inputs(model, 2)
    (answer,) = tflite.runner(content)({"inputs": inputs}).values()
    np.testing.assert_allclose(answer, model.func(model.params, inputs), rtol=1e-5, atol=1e-5)
    with pytest.raises(UserError, match=r"_float32.tflite exists; .*--overwrite"):
        next(tflite.write(model, tmp_path))


def test_an_unknown_kind_is_named(tmp_path):
    with pytest.raises(UserError, match="kind int4 is none of float32, float16, dynamic, int8"):
        next(tflite.write(models.build("mnist_mlp"), tmp_path, kinds=("float32", "int4")))
