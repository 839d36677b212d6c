"""Data-parallel training: each device takes its part of a batch."""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from exporter.model import PyTree

# More parts than this are too small to be worth the exchange of gradients.
MAX_DEVICES = 8


def use_cpu_cores() -> None:
    """Make each of the processor's cores one of JAX's CPU devices, before JAX is first used.

    XLA runs a convolution and its gradients on the CPU in one thread a device. JAX's own setting
    (`JAX_NUM_CPU_DEVICES`) comes first.
    """
    if jax.config.jax_num_cpu_devices < 1:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        # Once JAX is in use, it keeps the devices that it has and says so by an error.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", min(cores or 1, MAX_DEVICES))


@dataclass(frozen=True)
class Placement:
    """Where the arrays of a training live.

    Attributes:
        mesh: The devices, along one axis named `batch`.
    """

    mesh: Mesh

    @classmethod
    def of(cls, *batch_sizes: int, enabled: bool = True) -> Placement:
        """As many devices as divide all batch sizes; one if not enabled."""
        devices = jax.devices()
        largest = min(len(devices), MAX_DEVICES) if enabled else 1
        count = next(n for n in range(largest, 0, -1) if math.gcd(*batch_sizes) % n == 0)
        return cls(Mesh(np.array(devices[:count]), ("batch",)))

    def copied(self, tree: PyTree) -> PyTree:
        """The whole of each array on every device."""
        return jax.device_put(tree, NamedSharding(self.mesh, PartitionSpec()))

    def split(self, array: PyTree) -> PyTree:
        """Each device's part of an array's first axis, which the devices' number divides."""
        return jax.device_put(array, NamedSharding(self.mesh, PartitionSpec("batch")))
