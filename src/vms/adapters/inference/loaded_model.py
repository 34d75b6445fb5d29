"""A model on a device: checked against its manifest, warmed up, and looking at pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from vms.adapters.inference.backends import Entry, Graph
from vms.adapters.inference.framing import Order
from vms.adapters.inference.input_tensor import InputTensor
from vms.adapters.inference.pictures import SharedPictures
from vms.adapters.inference.placement import OutputReader, Placement
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest
from vms.domain.vision import Finding


class LoadedModel:
    """One model. Raises Failure(malformed) where the graph is not what the manifest says."""

    def __init__(self, manifest: ModelManifest, graph: Graph, reader: OutputReader, largest_batch: int) -> None:
        self._manifest = manifest
        self._graph = graph
        self._reader = reader
        self._input = InputTensor(manifest.input)
        self.largest_batch = largest_batch if manifest.batch else 1
        check_inputs(manifest, graph.inputs, frozenset(reader.further_inputs(1)))
        check_outputs(manifest, graph.outputs)
        reader.check({name: entry.shape for name, entry in graph.outputs.items()})

    def warm_up(self) -> None:
        """Runs each size of batch once: the first run of a shape takes many times as long."""
        for count in range(1, self.largest_batch + 1):
            outputs = self._run(count)
            for number in range(count):
                self._reader.read(_of_one(outputs, number), Placement(), 1.0)

    def look(self, orders: Sequence[Order], pictures: SharedPictures) -> list[tuple[Finding, ...]]:
        """What is in each. Raises Failure(malformed) where one cannot be looked at."""
        if not 0 < len(orders) <= self.largest_batch:
            raise Failure("internal", f"{len(orders)} pictures at once for model {self._manifest.name}")
        tensor = self._input.tensor(len(orders))
        placements = [
            self._input.put(pictures.picture(order), order.region, tensor[number])
            for number, order in enumerate(orders)
        ]
        outputs = self._run(len(orders))
        found: list[tuple[Finding, ...]] = []
        for number, (order, placement) in enumerate(zip(orders, placements, strict=True)):
            least_score = order.least_score if order.least_score is not None else self._manifest.least_score
            found.append(self._reader.read(_of_one(outputs, number), placement, least_score))
        return found

    def _run(self, count: int) -> Mapping[str, NDArray[Any]]:
        inputs = {self._manifest.input.name: self._input.tensor(count), **self._reader.further_inputs(count)}
        outputs = self._graph.run(inputs)
        for name, output in outputs.items():
            if output.ndim == 0 or output.shape[0] != count:
                detail = f"output {name} of model {self._manifest.name} has shape {output.shape} for {count} pictures"
                raise Failure("malformed", detail)
        return outputs


def _of_one(outputs: Mapping[str, NDArray[Any]], number: int) -> dict[str, NDArray[Any]]:
    return {name: output[number] for name, output in outputs.items()}


def check_inputs(manifest: ModelManifest, inputs: Mapping[str, Entry], further: frozenset[str]) -> None:
    """Raises Failure(malformed), which names what is wrong."""
    entry, name = manifest.input, manifest.name
    graph = inputs.get(entry.name)
    if graph is None:
        raise _wrong(name, f"has no input {entry.name!r}: it has {_names(inputs)}")
    channels = 1 if entry.colour == "grey" else 3
    sides = (entry.height, entry.width)
    expected = (*sides, channels) if entry.layout == "nhwc" else (channels, *sides)
    fits = len(graph.shape) == 4 and all(
        not isinstance(actual, int) or actual < 0 or actual == wanted
        for actual, wanted in zip(graph.shape[1:], expected, strict=False)
    )
    if not fits:
        raise _wrong(name, f"takes {_shape(graph.shape)} as {entry.name!r}, its manifest says [n, {_list(expected)}]")
    if graph.type != entry.type:
        raise _wrong(name, f"takes {graph.type} as {entry.name!r}, its manifest says {entry.type}")
    batch = graph.shape[0]
    is_free = not isinstance(batch, int) or batch < 0
    if manifest.batch and not is_free:
        raise _wrong(name, f"takes {batch} pictures at once, its manifest says any number (batch)")
    if not is_free and batch != 1:
        raise _wrong(name, f"takes {batch} pictures at once, not one")
    unknown = set(inputs) - further - {entry.name}
    if unknown:
        raise _wrong(name, f"has an input {sorted(unknown)[0]!r}, for which reader {manifest.reader} has no value")
    missing = further - set(inputs)
    if missing:
        raise _wrong(
            name, f"has no input {sorted(missing)[0]!r}, which reader {manifest.reader} gives: {_names(inputs)}"
        )


def check_outputs(manifest: ModelManifest, outputs: Mapping[str, Entry]) -> None:
    """Raises Failure(malformed) where an output that the manifest names is missing."""
    for role, output in manifest.outputs.items():
        if output not in outputs:
            raise _wrong(manifest.name, f"has no output {output!r} ({role}): it has {_names(outputs)}")


def _wrong(name: str, sentence: str) -> Failure:
    return Failure("malformed", f"model {name} {sentence}")


def _names(entries: Mapping[str, Entry]) -> str:
    return ", ".join(sorted(entries)) or "none"


def _shape(shape: Sequence[int | str | None]) -> str:
    return "[" + ", ".join("n" if size is None else str(size) for size in shape) + "]"


def _list(sizes: Sequence[int]) -> str:
    return ", ".join(str(size) for size in sizes)
