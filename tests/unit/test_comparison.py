"""What counts as JAX's answer."""

import numpy as np
import pytest

from artifact.comparison import difference
from artifact.manifest import Tolerance

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("actual", "expected", "error", "agrees"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0, True),
        ([1.0 + 5e-6], [1.0], 5e-6, True),
        ([1.0 + 5e-5], [1.0], 5e-5, False),
        ([1000.005], [1000.0], 0.005, True),
        ([NAN, INF, -INF], [NAN, INF, -INF], 0.0, True),
        ([NAN], [1.0], INF, False),
        ([1.0], [NAN], INF, False),
        ([INF], [-INF], INF, False),
        ([1e300], [INF], INF, False),
        ([1.0, 1.0], [1.0], INF, False),
        ([1 + 2j], [1 + 2.5j], 0.5, False),
        ([True], [False], 1.0, False),
        ([], [], 0.0, True),
        (1.5, 1.0, 0.5, False),
        (NAN, NAN, 0.0, True),
    ],
)
def test_differences(actual, expected, error, agrees):
    found = difference(np.array(actual), np.array(expected), Tolerance())
    assert found.max_abs_err == pytest.approx(error, rel=1e-3)
    assert found.agrees is agrees


def test_half_precision_is_compared_in_double():
    big = np.full(3, 6e4, np.float16)
    assert difference(-big, big, Tolerance()).max_abs_err == pytest.approx(12e4, rel=1e-3)
