"""Requests in row format: each instance an entry of the inputs' leading axis.

Source: tensorflow_serving/util/json_tensor.cc, FillTensorMapFromInstancesList
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from server.api.tfs_rest import dense, document, json_values, numbers, pieces, printing, scalars
from server.api.tfs_rest.columns import read_column
from server.engines.signatures import ModelSignature
from server.errors import ServingError, invalid


class Rows:
    """The inputs that instances make; these come some at a time.

    Attributes:
        count: How many instances there are.
    """

    def __init__(self, signature: ModelSignature, capacity: int = 0) -> None:
        """Takes the signature and, for a long request, how many values it has at most."""
        self.count = 0
        self._signature = signature
        self._capacity = capacity
        self._is_named = False
        self._stacks: dict[str, dense.Stack] = {}

    def add_numbers(self, found: numbers.Found) -> bool:
        """Adds instances of plain numbers; False where they need to be looked at one by one."""
        if isinstance(found, numbers.Numbers):
            if len(self._signature.inputs) != 1:
                return False
            ((name, tensor),) = self._signature.inputs.items()
            array = found.of(tensor)
            arrays = None if array is None else {name: array}
        else:
            arrays = numbers.of_signature(found, self._signature)
        if arrays is None:
            return False
        is_named = isinstance(found, Mapping)
        if self.count and is_named is not self._is_named:
            return False
        self._is_named = is_named
        return self._add(arrays)

    def add(self, instances: list[Any]) -> None:
        """Adds instances.

        Raises:
            ServingError: INVALID_ARGUMENT, with the number of the first that is wrong.
        """
        if not isinstance(instances, list):
            raise dense.too_deep()
        if not self.count:
            self._begin(instances[0])
        arrays = self._regular(instances)
        if arrays is not None and self._add(arrays):
            return
        if len(instances) <= dense.FEW:
            self._add(self._slowly(instances))
            return
        half = len(instances) // 2  # so that the first wrong one is soon found
        self.add(instances[:half])
        self.add(instances[half:])

    def finish(self) -> dict[str, np.ndarray]:
        """Returns the inputs.

        Raises:
            ServingError: INVALID_ARGUMENT, an input with a default is given in some rows alone.
        """
        found = {}
        for name in self._signature.inputs:
            stack = self._stacks.get(name)
            if stack is None:
                continue
            if stack.count != self.count:
                raise invalid(f"input {name} is given in {stack.count} of {self.count} instances")
            if stack.shape is not None and len(stack.shape) >= dense.MAX_RANK:
                raise dense.too_deep()
            found[name] = stack.finish()
        return found

    def _begin(self, first: Any) -> None:
        is_object = isinstance(first, dict) or (
            isinstance(first, pieces.Span) and not first.is_list
        )
        if not is_object and len(self._signature.inputs) > 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple "
                "input tensors required as per tensorinfo_map"
            )
        self._is_named = is_named(first)

    def _add(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Adds entries; False, and none is added, where their shapes are others than before."""
        stacks = self._stacks
        for name, array in arrays.items():
            if name in stacks and not stacks[name].takes(array):
                return False
        for name, array in arrays.items():
            if name not in stacks:
                stacks[name] = dense.Stack(self._capacity)
            stacks[name].add(array)
        self.count += max(map(len, arrays.values()), default=0)
        return True

    def _regular(self, instances: list[Any]) -> dict[str, np.ndarray] | None:
        """Converts instances as a whole; None where they need to be looked at one by one."""
        inputs = self._signature.inputs
        if not self._is_named:
            name, tensor = next(iter(inputs.items()))
            array = dense.regular(instances, tensor)
            return None if array is None else {name: array}
        names = instances[0].keys() if type(instances[0]) is dict else ()
        if not self._are_names(names) or not all(
            type(row) is dict and row.keys() == names for row in instances
        ):
            return None
        arrays = {}
        for name in names:
            array = dense.regular([row[name] for row in instances], inputs[name])
            if array is None:
                return None
            arrays[name] = array
        return arrays

    def _are_names(self, names: Any) -> bool:
        inputs = self._signature.inputs.keys()
        return (
            bool(names) and names <= inputs and not inputs - names - self._signature.defaults.keys()
        )

    def _slowly(self, instances: list[Any]) -> dict[str, np.ndarray]:
        """Converts instances one by one, each in its members' order, as the official one does."""
        entries: dict[str, list[np.ndarray]] = {}
        for index, row in enumerate(instances, self.count):
            if is_named(row) is not self._is_named:
                raise invalid(
                    f"Expecting object but got list at item {index} of input list"
                    if self._is_named
                    else f"Expecting value/list but got object at item {index} of input list"
                )
            if not self._is_named:
                name = next(iter(self._signature.inputs))
                entry = self._entry(index, "", name, row, entries)
                entries.setdefault(name, []).append(entry)
                continue
            names = []
            for name, value in row.members() if isinstance(row, pieces.Span) else row.items():
                names.append(name)
                if name not in self._signature.inputs:
                    break
                entry = self._entry(index, f" key: {name}", name, value, entries)
                entries.setdefault(name, []).append(entry)
            if not self._are_names(dict.fromkeys(names).keys()) or isinstance(
                row, json_values.Repeated
            ):
                raise invalid(
                    f"Failed to process element: {index} of 'instances' list. JSON object: "
                    f"{printing.text(pieces.head(row))} keys must be equal to: "
                    f"{','.join(sorted(self._signature.inputs))}"
                )
        return {
            name: found[0][None] if len(found) == 1 else np.stack(found)
            for name, found in entries.items()
        }

    def _entry(
        self,
        index: int,
        key: str,
        name: str,
        value: Any,
        entries: Mapping[str, list[np.ndarray]],
    ) -> np.ndarray:
        try:
            entry = read_column(value, self._signature.inputs[name])
            if entry.ndim >= dense.MAX_RANK:
                raise dense.too_deep()
            if name in self._stacks:
                first = self._stacks[name].shape or ()
            elif name in entries:
                first = entries[name][0].shape
            else:
                return entry
            if entry.size != np.prod(first, dtype=np.int64):
                size = np.prod(first, dtype=np.int64)
                raise invalid(f"Expecting tensor size: {size} but got: {entry.size}")
            if entry.shape != first:
                raise invalid(f"Expecting shape {_text(first)} but got: {_text(entry.shape)}")
        except document.ParseError:
            raise
        except ServingError as error:
            raise invalid(
                f"Failed to process element: {index}{key} of 'instances' list. Error: "
                f"{error.code.name}: {error.message}"
            ) from None
        return entry


def is_named(value: Any) -> bool:
    """Tells whether an instance names its inputs."""
    if isinstance(value, pieces.Span):
        return not value.is_list
    return isinstance(value, dict) and not scalars.is_base64(value)


def _text(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
