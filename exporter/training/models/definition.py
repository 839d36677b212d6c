"""What a trainable model is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from exporter.model import Examples, Model, PyTree

if TYPE_CHECKING:
    import jax
    import optax

# What the name of a model ends in that is exported without its classifier.
FEATURES = "_features"


@dataclass(frozen=True)
class ModelDefinition:
    """A classifier that can be initialised, trained and exported.

    Attributes:
        name: Its name in the registry, on the command line and in the server.
        inputs: Pytree of `TensorSpec` that `apply` takes.
        init: `key -> params`, a dictionary of layers, `{"dense1": {"kernel": …, "bias": …}, …}`;
            its paths become the names of the exported variables.
        apply: Pure function `(params, inputs, with_classifier) -> array`: float32 [B, classes] of
            log-probabilities with the classifier, float32 [B, features] without.
        classifier: The layer in `params` that `apply` needs only with the classifier.
        optimizer: `(steps, learning_rate) -> optimizer`, for a run of so many steps.
        learning_rate: The rate that suits the model.
        augment: `(key, images) -> images`, float32 [B, …] of the same shape: random changes of
            training images that leave the class as it is. None: trains on the images as they are.
        num_epochs: Passes over the training images that suit the model and its own data.
        batch_size: Likewise, images in a step.
        data_source: Where its data come from unless the user names another source.
        data_parallel: Training splits each batch over the devices; pays where a step takes much
            longer than adding up the gradients.
        init_classes: `(key, num_classes) -> params`, for a model of any number of classes.
    """

    name: str
    inputs: PyTree
    init: Callable[[jax.Array], PyTree]
    apply: Callable[[PyTree, Any, bool], jax.Array]
    classifier: str
    optimizer: Callable[[int, float], optax.GradientTransformation]
    learning_rate: float
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    num_epochs: int = 3
    batch_size: int = 128
    data_source: str = "bundled"
    data_parallel: bool = False
    init_classes: Callable[[jax.Array, int], PyTree] | None = None

    def for_classes(self, num_classes: int) -> ModelDefinition:
        """The same model for so many classes; one whose number is fixed stays as it is."""
        init = self.init_classes
        return replace(self, init=lambda key: init(key, num_classes)) if init else self

    def model(
        self,
        params: PyTree,
        *,
        with_classifier: bool = True,
        examples: Examples | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> Model:
        """Pair the function with parameters, ready to be exported.

        Args:
            params: What `init` or the training gave, or, without the classifier, the part of it
                that an exported model of features holds.
            with_classifier: False gives the features: `<name>_features`, whose parameters
                are those of the layers that it runs, no others.
            examples: Real inputs that go with the exported model; features go without the labels.
            metrics: Figures for its manifest.
        """
        if not with_classifier:
            params = {layer: value for layer, value in params.items() if layer != self.classifier}
            examples = replace(examples, labels=None) if examples else None
        name = self.exported_name(with_classifier=with_classifier)
        return Model(
            name=name,
            func=partial(self._call, with_classifier=with_classifier),
            params=params,
            inputs=self.inputs,
            examples=examples,
            metrics=dict(metrics or {}),
            source=f"exporter.training.builders:{name}",
        )

    def exported_name(self, *, with_classifier: bool) -> str:
        """The name of the exported model."""
        return self.name if with_classifier else f"{self.name}{FEATURES}"

    def _call(self, params: PyTree, inputs: PyTree, *, with_classifier: bool) -> jax.Array:
        return self.apply(params, inputs, with_classifier)
