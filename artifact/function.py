"""One exported function, compiled for each shape that it meets, and shared between versions."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from artifact.manifest import ModuleRecord, Parameter

# Of one program, of some 2 MiB each: whoever sends ever new shapes may not fill the memory,
_MAX_EXECUTABLES = 256
# nor drive out the first ones, which are compiled when a version is loaded.
_KEPT_EXECUTABLES = 64


class Function:
    """One exported function `(parameters, inputs) -> outputs`, compiled for each shape it meets.

    The executables are held here and nowhere else: `jax.clear_caches()` takes none of them away,
    and they go with the last version that has this program.
    """

    def __init__(
        self,
        serialized: bytes,
        record: ModuleRecord | None = None,
        parameters: Sequence[Parameter] = (),
        device: Any = None,
    ) -> None:
        """Takes a program file's content; see `artifact.portable.read`.

        Args:
            serialized: The content.
            record: How it is called; None of what `jax.export` serialized.
            parameters: The model's, flat.
            device: A `jax.Device` to run on; JAX's default where None.
        """
        self._serialized, self._record, self._parameters = serialized, record, tuple(parameters)
        self._device = device
        self._jitted: Any = None
        self._has_64_bits = False
        self._executables: dict[tuple[object, ...], Any] = {}
        self._lock = threading.RLock()

    def __call__(self, parameters: Sequence[Any], inputs: Sequence[np.ndarray]) -> Sequence[Any]:
        """Returns JAX's outputs in the program's order.

        Raises:
            ModuleError: this JAX can't run the program.
        """
        key = tuple((array.shape, array.dtype) for array in inputs)
        executable = self._executables.get(key)
        if executable is None:
            executable = self._compile(key, parameters, inputs)
        if self._has_64_bits:
            with enable_64_bits():
                wide: Sequence[Any] = executable(parameters, inputs)
                return wide
        outputs: Sequence[Any] = executable(parameters, inputs)
        return outputs

    def is_compiled(self, inputs: Sequence[tuple[tuple[int, ...], np.dtype]]) -> bool:
        """Tells whether inputs of these shapes and dtypes need no compilation."""
        return tuple(inputs) in self._executables

    def read(self) -> None:
        """Reads the program, which is else done when it is first called.

        Raises:
            ModuleError: this JAX can't run it.
        """
        with self._lock:
            if self._jitted is not None:
                return
            import jax

            from artifact import portable

            exported = portable.read(self._serialized, self._record, self._parameters)
            avals = (*exported.in_avals, *exported.out_avals)
            self._has_64_bits = any(map(_has_64_bits, (aval.dtype for aval in avals)))
            self._jitted = jax.jit(exported.call)

    def _compile(
        self, key: tuple[object, ...], parameters: Sequence[Any], inputs: Sequence[np.ndarray]
    ) -> Any:
        import jax

        with self._lock:
            if key not in self._executables:
                self.read()
                with contextlib.ExitStack() as stack:
                    if self._device is not None:
                        stack.enter_context(jax.default_device(self._device))
                    if self._has_64_bits:
                        stack.enter_context(enable_64_bits())
                    compiled = self._jitted.lower(parameters, inputs).compile()
                if len(self._executables) >= _MAX_EXECUTABLES:
                    del self._executables[
                        next(itertools.islice(self._executables, _KEPT_EXECUTABLES, None))
                    ]
                self._executables[key] = compiled
            return self._executables[key]


class Functions:
    """Functions that versions share: a model that was only trained further compiles nothing."""

    def __init__(self) -> None:
        self._found: weakref.WeakValueDictionary[tuple[object, ...], Function]
        self._found = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def load(
        self,
        path: Path,
        record: ModuleRecord | None = None,
        parameters: Sequence[Parameter] = (),
        device: Any = None,
    ) -> Function:
        """Returns the function in a file, the one that a living version has where there is one.

        Args:
            path: The file.
            record: How it is called; None of what `jax.export` serialized.
            parameters: The model's, flat.
            device: A `jax.Device` to run on; JAX's default where None.

        Raises:
            OSError: the file can't be read.
        """
        serialized = path.read_bytes()
        shapes = tuple((p.shape, p.dtype) for p in parameters)
        key = (hashlib.sha256(serialized).digest(), record, shapes, device)
        with self._lock:
            function = self._found.get(key)
            if function is None:
                function = self._found[key] = Function(serialized, record, parameters, device)
            return function


@contextlib.contextmanager
def enable_64_bits() -> Iterator[None]:
    """Lets this thread's JAX have arrays of 64 bits, which it cuts to 32 by default."""
    import jax

    with jax.enable_x64(True):
        yield


def _has_64_bits(dtype: Any) -> bool:
    return np.dtype(dtype).name in ("float64", "int64", "uint64", "complex128")
