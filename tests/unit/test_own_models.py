"""Models of one's own, and what is said about those that can't be exported."""

import importlib
import sys

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")

from exporter.errors import UserError
from exporter.model import Model, Signature, TensorSpec, build, checks, from_function
from exporter.model.dimensions import allowed, choose
from exporter.model.entry import default_entry
from exporter.model.processed import ProcessedSignature
from exporter.trace.trace import trace

jnp = jax.numpy
PARAMS = {"dense": {"kernel": np.ones((4, 3), np.float32)}}


def linear(params, x):
    return x @ params["dense"]["kernel"]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of somebody's own, and returns its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(text, name="somebodys_model"):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write


def test_examples_become_specs_with_an_open_batch():
    inputs = [np.ones((3, 4)), np.ones((3, 7), bool), np.ones((5, 2), np.int64), 2.0]
    model = from_function.model_from_function("m", linear, PARAMS, inputs)
    assert model.inputs == [
        TensorSpec(("b", 4)),
        TensorSpec(("b", 7), "bool"),
        TensorSpec((5, 2), "int32"),
        TensorSpec(()),
    ]
    assert model.examples.inputs[0].dtype == np.float32


def test_numbers_have_no_batch():
    model = from_function.model_from_function("m", linear, PARAMS, {"a": 0.5, "b": np.int32(3)})
    assert model.inputs == {"a": TensorSpec(()), "b": TensorSpec((), "int32")}


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "a:b", "..", "", "a\n"])
def test_names_that_are_no_part_of_a_path_or_an_address_are_refused(name):
    with pytest.raises(
        UserError, match=r"model .*: the name becomes a part of files and addresses"
    ):
        broken(name=name)
    signature = Signature(linear, TensorSpec(("b", 4)))
    with pytest.raises(UserError, match=r"m: signature .* becomes a part of files"):
        broken(signatures={name: signature})
    with pytest.raises(UserError, match=r"m: signature .* becomes a part of files"):
        broken(processed={name: ProcessedSignature()})


def test_no_signature_takes_the_models_own_place():
    with pytest.raises(UserError, match="is called serving_default, as the model's own"):
        broken(signatures={"serving_default": Signature(linear, TensorSpec(("b", 4)))})


def test_the_name_on_the_command_line_is_checked(module):
    name = module(
        "import numpy as np\ndef build():\n    return (lambda p, x: x), 1.0, np.ones(2)\n"
    )
    with pytest.raises(UserError, match=r"model '../x': the name becomes"):
        build.load(f"{name}:build", "../x")


def test_shapes_have_no_examples():
    shapes = (jax.ShapeDtypeStruct((1, 4), "bfloat16"), TensorSpec(("b", "s"), "int32"))
    model = from_function.model_from_function("m", linear, PARAMS, shapes)
    assert model.inputs == (TensorSpec(("b", 4), "bfloat16"), TensorSpec(("b", "s"), "int32"))
    assert model.examples is None


def test_build_gives_three_things_or_a_model(module):
    name = module(
        "import numpy as np\n"
        "from exporter import Model, TensorSpec\n"
        "def build():\n    return lambda p, x: x * p, np.float32(2), np.ones((1, 2))\n"
        "def whole():\n    return Model('whole', *build()[:2], TensorSpec(('b', 2)))\n"
    )
    assert build.load(f"{name}:build").name == name
    assert build.load(f"{name}:build", "other").name == "other"
    assert build.load(f"{name}:whole").name == "whole"
    assert build.load(f"{name}:whole", "other").name == "other"
    model = build.load(f"{name}:build")
    np.testing.assert_array_equal(model.func(model.params, np.ones(2)), [2, 2])


# What build() is, and what is said about it.
BROKEN_BUILDS = {
    "def other(): pass": "there is no function 'build'",
    "import there_is_none": "ModuleNotFoundError: No module named 'there_is_none'",
    "def build(:": "SyntaxError",
    "def build():\n    return 1 / 0": r"failed: ZeroDivisionError: .*somebodys_model.py:2\)",
    "from exporter import Model\ndef build(): return Model('a/b', None, None, None)": (
        r":build\(\): model 'a/b'"
    ),
    "def build(): return 1, 2": "returned 2 things; return",
    "def build(): return 'model'": "returned str; return",
    "def build(): return (lambda p, x: x), 1.0, None": "no example inputs",
    "def build(): return (lambda p, x: x), 1.0, 'text'": "an input is a str",
}


@pytest.mark.parametrize("text", BROKEN_BUILDS)
def test_a_broken_build_is_named_with_its_fix(text, module):
    name = module(text)
    with pytest.raises(UserError, match=BROKEN_BUILDS[text]) as caught:
        build.load(f"{name}:build")
    assert "\n" not in str(caught.value)


def test_a_module_that_is_not_there_is_named(module):
    with pytest.raises(UserError, match="no module 'nowhere_to_be_found'"):
        build.load("nowhere_to_be_found:build")
    with pytest.raises(UserError, match=r"package\.module:function"):
        build.load("just_a_name")


def broken(**changes):
    return Model(**{
        "name": "m", "func": linear, "params": PARAMS, "inputs": TensorSpec(("b", 4)), **changes,
    })  # fmt: skip


# Models that no runtime could take, and what is said about them.
BROKEN_MODELS = {
    "NaN": (
        broken(params={"w": np.array([1, np.nan, np.nan], np.float32)}),
        "parameter w has 2 NaN of 3 numbers; .*earlier step",
    ),
    "NaN in bfloat16": (
        broken(params=[jnp.array([np.nan], jnp.bfloat16)]),
        "parameter 0 has 1 NaN of 1 numbers",
    ),
    "text among the parameters": (
        broken(params={"w": "relu"}),
        "parameter w is a str, no array; keep settings in the function",
    ),
    "random key": (broken(params=jax.random.key(0)), "is a random key.*nnx.RngState"),
    "dtype of a parameter": (
        broken(params=jnp.zeros(3, jnp.int4)),
        "dtype int4, which the serving API lacks; cast it",
    ),
    "dtype of an input": (
        broken(inputs=TensorSpec(("b",), "float8_e4m3")),
        "input inputs has dtype",
    ),
    "no inputs": (broken(inputs={}), "no inputs; give a TensorSpec"),
    "inputs that are no specs": (broken(inputs=np.ones((2, 4))), "is a ndarray; give a TensorSpec"),
    "three arguments": (
        broken(func=lambda params, x, y: x),
        r"takes \(params, x, y\), not \(params, inputs\).*in a tuple",
    ),
    "a signature's arguments": (
        broken(signatures={"embed": Signature(lambda x: x, TensorSpec(("b",)))}),
        r"m:embed: the function takes \(x\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN_MODELS)
def test_a_model_that_cannot_be_exported_is_named_with_its_fix(case):
    model, message = BROKEN_MODELS[case]
    with pytest.raises(UserError, match=message) as caught:
        checks.check(model)
    assert "\n" not in str(caught.value)


def test_a_sound_model_passes():
    checks.check(broken())
    checks.check(broken(params={"w": jnp.array([np.inf, -np.inf], jnp.bfloat16), "n": 3}))


def test_an_error_while_tracing_says_where():
    def function(params, x):
        return x @ params["dense"]["bias"]

    with pytest.raises(UserError, match=r"KeyError: 'bias' \(.*test_own_models.py:\d+\)"):
        trace(default_entry(broken(func=function)))


PACKAGE = """
import jax
def layer(x): raise ValueError('too wide')
def called_back(x): return jax.pure_callback(lambda v: v, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
"""


@pytest.mark.parametrize(
    ("function", "said"), [("layer", r"too wide \("), ("called_back", r"\(pure_callback at ")]
)
def test_an_error_in_a_package_is_of_the_users_line(function, said, tmp_path, monkeypatch):
    folder = tmp_path / "other" / "lib" / "site-packages"
    folder.mkdir(parents=True)
    (folder / "somebodys_package.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "somebodys_package", raising=False)
    layer = getattr(importlib.import_module("somebodys_package"), function)
    with pytest.raises(UserError, match=rf"{said}/.*test_own_models.py:\d+"):
        trace(default_entry(broken(func=lambda params, x: layer(x))))


def test_a_size_taken_for_a_number_is_explained():
    func = lambda params, x: x.reshape((len(x), -1))  # noqa: E731
    with pytest.raises(UserError, match=r"test_own_models.py:\d+\); .*take x.shape\[0\] for len"):
        trace(default_entry(broken(func=func)))


def test_a_constraint_of_no_dimension_is_refused():
    checks.check(broken(constraints=("b <= 5",)))
    with pytest.raises(UserError, match=r"'bb <= 5': no input has a dimension 'bb' \(there: b\)"):
        checks.check(broken(constraints=("bb <= 5",)))


def test_constraints_choose_and_refuse_sizes():
    constraints = ("s <= 64", "mod(s, 8) == 0", "t >= s + 1")
    for start in range(12):
        sizes = choose(["s", "t"], {"b": 2}, constraints, start=start)
        assert sizes["b"] == 2
        assert sizes["s"] % 8 == 0
        assert sizes["s"] <= 64
        assert sizes["t"] > sizes["s"]
    assert len({choose(["s"], {}, (), start=n)["s"] for n in range(5)}) == 5
    assert not allowed({"s": 9}, constraints)
    assert allowed({"b": 9}, constraints)
    with pytest.raises(UserError, match="no sizes of s from 1 to"):
        choose(["s"], {}, ("s >= 5000",))
    with pytest.raises(UserError, match="constraint 's <': "):
        choose(["s"], {}, ("s <",))


def test_a_fixed_export_leaves_out_batch_sizes_that_constraints_forbid():
    traced = trace(default_entry(broken(constraints=("b <= 20",))), 4)
    assert traced.fixed_batch_sizes == [4, 16]
    with pytest.raises(UserError, match=r"batch size 32: .*Unsatisfiable.*b <= 20"):
        trace(default_entry(broken(constraints=("b <= 20",))), 32)


def test_weights_inside_the_function_are_refused():
    """They would be in each graph and program, which end at 2 GB."""
    weights = np.random.default_rng(0).normal(size=(2100, 2100)).astype(np.float32)
    inner = jax.jit(lambda x: x @ weights)
    model = Model("m", lambda p, x: p * inner(x), np.float32(1), TensorSpec(("b", 2100)))
    with pytest.raises(
        UserError,
        match=r"^m: .* holds 17\.6 MB .* largest float32\[2100, 2100\]; give them in params",
    ):
        trace(default_entry(model))
    few = weights[:100, :100]
    small = Model("m", lambda p, x: p * (x @ few), np.float32(1), TensorSpec(("b", 100)))
    trace(default_entry(small))
