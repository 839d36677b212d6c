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


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ([True, True], [True, False]),
        ([0.5], [True]),
        ([1.0], [INF]),
        ([INF], [1.0]),
        ([1.0], [-INF]),
        ([complex(INF, 0)], [complex(INF, 1)]),
        ([b"a"], [b"b"]),
        (["a"], [1.0]),
        ([1.0], ["a"]),
    ],
)
def test_no_tolerance_allows_another_truth_infinity_or_string(actual, expected):
    found = difference(np.array(actual), np.array(expected), Tolerance(rtol=10.0, atol=10.0))
    assert not found.agrees
    assert found.max_abs_err > 0


def test_strings_of_any_kind_are_compared():
    objects = np.array([b"a\0", b"b"], object)
    assert difference(objects, objects.copy(), Tolerance()) == (0.0, True)
    assert difference(np.array([b"a", b"b"]), np.array([b"a", b"b"], object), Tolerance()).agrees
    assert not difference(np.array([b"a", b"b"]), objects, Tolerance()).agrees
    assert difference(np.array(b"a", object), np.array(b"a", object), Tolerance()).agrees


@pytest.mark.parametrize(
    ("actual", "expected"),
    [("complex64", "float32"), ("int64", "int32"), ("float64", "float32"), ("bool", "int32")],
)
def test_another_dtype_is_a_difference(actual, expected):
    found = difference(np.ones(1, actual), np.ones(1, expected), Tolerance(rtol=9.0, atol=9.0))
    assert found == (INF, False)


@pytest.mark.parametrize(
    ("actual", "expected", "dtype", "error"),
    [
        (100002, 100001, "int32", 1),
        (151, 150, "uint8", 1),
        (2**53 + 1, 2**53, "int64", 1),
        (0, 2**64 - 1, "uint64", 2**64 - 1),
        (-(2**63), 2**63 - 1, "int64", 2**64 - 1),
    ],
)
def test_no_tolerance_allows_another_integer(actual, expected, dtype, error):
    ours, theirs = np.array([7, actual], dtype), np.array([7, expected], dtype)
    assert difference(ours, theirs, Tolerance(rtol=1.0, atol=1e20)) == (float(error), False)
    assert difference(theirs, theirs.copy(), Tolerance()) == (0.0, True)
    assert not difference(ours[1], theirs[1], Tolerance()).agrees


def test_half_precision_is_compared_in_double():
    big = np.full(3, 6e4, np.float16)
    assert difference(-big, big, Tolerance()).max_abs_err == pytest.approx(12e4, rel=1e-3)
