"""Executables of a program are bounded, and the first ones stay."""

import numpy as np

from artifact import function, program
from server.engines.engine import EngineOptions
from server.engines.xla import XlaEngine
from tests.support import exports, needs


def test_ever_new_shapes_drive_out_one_another_and_not_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(function, "_MAX_EXECUTABLES", 4)
    monkeypatch.setattr(function, "_KEPT_EXECUTABLES", 2)
    found = program.load(exports.scaled(tmp_path, 1))

    def ready(rows):
        return found.is_compiled({"inputs": (rows, 4)})

    for rows in range(1, 8):
        assert not ready(rows)
        x = np.full((rows, 4), 0.5, np.float32)
        answer = found.run({"inputs": x})["output_0"]
        np.testing.assert_allclose(answer, exports.scaled_answer(x, 1), rtol=1e-5)
        assert ready(rows)
    assert [rows for rows in range(1, 8) if ready(rows)] == [1, 2, 6, 7]


def test_an_engine_knows_what_it_would_have_to_compile(tmp_path):
    engine = XlaEngine(exports.scaled(tmp_path, 1), EngineOptions())
    shapes = {"inputs": (3, 4)}
    assert not engine.is_ready("serving_default", shapes)
    engine.run("serving_default", {"inputs": np.ones((3, 4), np.float32)}, ["output_0"])
    assert engine.is_ready("serving_default", shapes)
    assert not engine.is_ready("serving_default", {"inputs": (5, 4)})
    for refused in ((4,), (3, 5), (0, 4), ()):  # which takes no time
        assert engine.is_ready("serving_default", {"inputs": refused})
    assert engine.is_ready("none", shapes)


def test_so_does_tensorflow_of_models_that_it_compiles(tmp_path):
    needs.package("tensorflow", "exporter")
    from server.engines import signatures
    from server.engines.tensorflow import TensorFlowEngine
    from tests.support import saved_models

    path = exports.scaled(tmp_path, 1)
    options = EngineOptions(xla_compilation=True)
    engine = TensorFlowEngine(path, signatures.read(path, ("serve",)), options)
    assert not engine.is_ready("serving_default", {"inputs": (3, 4)})
    engine.run("serving_default", {"inputs": np.ones((3, 4), np.float32)}, ["output_0"])
    assert engine.is_ready("serving_default", {"inputs": (3, 4)})
    assert not engine.is_ready("serving_default", {"inputs": (2, 4)})
    saved_models.half_plus_two(tmp_path / "plain", 1)
    path = tmp_path / "plain" / "1"
    engine = TensorFlowEngine(path, signatures.read(path, ("serve",)), options)
    assert engine.is_ready("serving_default", {"x": (7,)})
