"""Parameters from files of every format, and files of other models."""

import numpy as np
import pytest

from tests.support import needs

jax = needs.package("jax", "exporter")

from exporter.errors import UserError
from exporter.model import stored_parameters

jnp = jax.numpy


def parameters():
    keys = jax.random.split(jax.random.key(0))
    return {
        "layers": {
            str(i): {"kernel": jax.random.normal(key, (3, 3)), "bias": jnp.ones(3, jnp.bfloat16)}
            for i, key in enumerate(keys)
        }
    }


def write(path, params, how):
    if how == "msgpack":
        from flax import serialization

        path.with_suffix(".msgpack").write_bytes(serialization.msgpack_serialize(params))
        return path.with_suffix(".msgpack")
    if how == "orbax":
        ocp = needs.package("orbax.checkpoint", "exporter")
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(path.absolute(), params)
        return path
    if how == "orbax manager":
        ocp = needs.package("orbax.checkpoint", "exporter")
        with ocp.CheckpointManager(path.absolute()) as manager:
            for step in (1, 12):
                scaled = jax.tree.map(lambda x, step=step: x * (step == 12), params)
                manager.save(step, args=ocp.args.StandardSave({"params": scaled, "step": step}))
            manager.wait_until_finished()
        return path
    flax = needs.package("safetensors.flax", "reuse")
    flat = jax.tree_util.tree_flatten_with_path(params)[0]
    separator = "." if how == "safetensors." else "/"
    names = [separator.join(entry.key for entry in keys) for keys, _ in flat]
    flax.save_file(
        dict(zip(names, [value for _, value in flat], strict=True)),
        path.with_suffix(".safetensors"),
    )
    return path.with_suffix(".safetensors")


@pytest.mark.parametrize(
    "how", ["msgpack", "safetensors.", "safetensors/", "orbax", "orbax manager"]
)
def test_parameters_come_back(how, tmp_path):
    params = parameters()
    path = write(tmp_path / "stored", params, how)
    found = stored_parameters.load(path, jax.tree.map(jnp.zeros_like, params))
    assert jax.tree.structure(found) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, found, params)


def test_the_parameters_of_another_model_are_refused_by_name(tmp_path):
    params = parameters()
    path = write(tmp_path / "stored", params, "msgpack")
    del params["layers"]["0"]
    with pytest.raises(UserError, match="has besides layers/0/bias, layers/0/kernel; give"):
        stored_parameters.load(path, params)
    params["layers"]["2"] = {"kernel": jnp.ones(3)}
    with pytest.raises(UserError, match="lacks layers/2/kernel and has besides"):
        stored_parameters.load(path, params)
    params = parameters()
    params["layers"]["1"]["kernel"] = jnp.ones((3, 4))
    with pytest.raises(UserError, match=r"kernel is float32\[3, 3\], .* float32\[3, 4\]"):
        stored_parameters.load(path, params)
    params["layers"]["1"]["kernel"] = jnp.ones((3, 3), jnp.bfloat16)
    with pytest.raises(UserError, match=r"float32\[3, 3\], .* bfloat16\[3, 3\]"):
        stored_parameters.load(path, params)


def test_what_is_no_file_of_parameters_is_named(tmp_path):
    params = parameters()
    with pytest.raises(UserError, match="there is no such file"):
        stored_parameters.load(tmp_path / "nothing", params)
    for name in ("damaged.safetensors", "damaged.msgpack"):
        (tmp_path / name).write_bytes(b"\xff" * 40)
        with pytest.raises(UserError, match=f"{name} can't be read"):
            stored_parameters.load(tmp_path / name, params)
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(UserError, match=r"give a \.safetensors or \.msgpack file"):
        stored_parameters.load(tmp_path / "weights.h5", params)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="can't be read"):
        stored_parameters.load(tmp_path / "empty", params)
