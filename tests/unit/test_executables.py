"""Executables of a program are bounded, and the first ones stay."""

import numpy as np

from artifact import function, program
from tests.support import exports


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
