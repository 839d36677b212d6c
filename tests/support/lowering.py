"""A model in plain TensorFlow ops, in memory and as a SavedModel."""

from functools import partial

from exporter.convert import plain_ops, saved_model
from exporter.model import SERVING_DEFAULT
from exporter.model.entry import default_entry
from exporter.trace.trace import trace


def lower(model, *, portable=False):
    """Returns a `Lowered` of the model's `serving_default`, any batch size."""
    traced = trace(default_entry(model))
    return Lowered(traced, partial(plain_ops.to_tensorflow, portable=portable))


class Lowered:
    def __init__(self, traced, convert):
        self._traced, self._convert = {SERVING_DEFAULT: traced}, convert
        self.module, functions = saved_model.build(self._traced, convert, with_gradient=True)
        self.signature = functions[SERVING_DEFAULT].signature()
        self.input_names = list(traced.entry.specs)
        self.output_names = traced.output_names

    def __call__(self, inputs):
        """Runs `__call__` on the input pytree."""
        return self.module.__call__(inputs)  # an attribute of the instance, as TensorFlow saves it

    def save(self, directory):
        saved_model.save(self._traced, directory, self._convert, with_gradient=True)
