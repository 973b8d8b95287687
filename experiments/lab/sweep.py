"""A study run in this process: what it will take, block after block, and what came out."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.device import free_bytes
from experiments.errors import Interrupted, RequestError, RunError
from experiments.lab import store
from experiments.lab.blocks import Layout, layout
from experiments.lab.cells import Block, compute
from experiments.lab.result import attributes, coordinates, sizes, variables
from experiments.lab.study import Study
from experiments.progress import counting
from theory.learners.base import UNDEFINED

if TYPE_CHECKING:
    import xarray as xr

PROBES = 3  # cells that are timed, of every learner and prompt
SPREAD = 64  # places at which a learner is asked whether it answers at all


class Plan(NamedTuple):
    """A study before it runs."""

    study: Study
    estimated: bool
    layout: Layout
    seconds: float  # expected, one core
    bytes: int  # of all numbers, uncompressed

    def sentence(self) -> str:
        """Cells, expected time and disk in words."""
        from experiments.lab.words import amount, duration

        return (
            f"{self.study.cells:,} cells in {self.layout.count:,} blocks, about {duration(self.seconds)} on one core, "
            f"at most {amount(self.bytes)}"
        )


def plan(study: Study) -> Plan:
    """Ask a few cells: what is estimated, how long they take, whether every learner answers somewhere.

    Raises RequestError for a learner that answers at none of the places asked, with its own sentence.
    """
    estimated = _probe(study)
    cut = layout(study, estimated)
    length = sizes(study)
    numbers = sum(
        np.dtype(v.dtype).itemsize * int(np.prod([length[d] for d in v.dims], dtype=object))
        for v in variables(study, estimated).values()
    )
    return Plan(study, estimated, cut, _expected(study, cut, estimated), int(numbers))


def _places(study: Study, most: int) -> list[tuple[int, ...]]:
    """Places spread over the axes, the corners of the grid among the first: no more than `most`."""
    shape = study.shape
    total = int(np.prod(shape, dtype=object))
    corners = [tuple((length - 1) * bool(c >> j & 1) for j, length in enumerate(shape)) for c in range(2 ** len(shape))]
    spread = [tuple(int(i) for i in np.unravel_index(round(p), shape)) for p in np.linspace(0, total - 1, most)]
    return list(dict.fromkeys([*spread[:: max(1, most // 8)], *corners[:16], *spread]))[:most]


def _probe(study: Study) -> bool:
    """Whether the theory of any learner is sampled; RequestError for one that refuses all places."""
    from experiments.abilities import ability_of
    from theory.learners import names

    estimated = False
    for k, label in enumerate(study.labels):
        if label not in names() and isinstance(study.learners[k], str):
            continue  # an objective, whose law is asked for beside its towers
        learner = study.learner(k, None)
        if study.measured and ability_of(learner).estimator:
            continue
        why, seen = None, set()
        for index in _places(study, SPREAD):
            world = study.world_at(index)
            if why is None and seen and world.classes in seen:
                continue
            try:
                accuracy = learner.accuracy(world)
            except UNDEFINED as error:
                why = why or (None if seen else str(error))
                continue
            why = None
            seen.add(world.classes)
            estimated = estimated or (accuracy.interval is not None and not study.measured)
        if not seen:
            raise RequestError(f"learner {label!r} has no answer anywhere on this grid: {why}")
    return estimated


def _expected(study: Study, cut: Layout, estimated: bool) -> float:
    """Seconds of all cells, from those of a few blocks of few cells."""
    from experiments.lab.blocks import cell_seconds

    each = min(cut.cells(0), max(1, int(0.02 / cell_seconds(study, estimated))))
    times = []
    for index in _places(study, PROBES):
        region = tuple(slice(i, i + 1) for i in index)
        if study.shape:
            last = index[-1] - index[-1] % cut.chunk[-1]
            region = (*region[:-1], slice(last, min(last + each, study.shape[-1], last + cut.chunk[-1])))
        cells = int(np.prod([part.stop - part.start for part in region], dtype=int))
        began = perf_counter()
        compute(study, region, estimated)
        times.append((perf_counter() - began) / cells)
    return float(np.mean(times)) * int(np.prod(study.shape, dtype=object))


def sweep(
    study: Study,
    path: "Path | str | None" = None,
    *,
    planned: Plan | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> "xr.Dataset":
    """See `Study.run`; `report` receives what is found damaged or done already."""
    planned = planned or plan(study)
    refuse_what_cannot_fit(planned, path)
    if path is None:
        return _in_memory(planned)
    stood = store.begin(path, study, planned.estimated)
    done = store.finished(path, study, planned.layout)
    if stood:
        report(f"{done.sum():,} of {len(done):,} blocks are in {path} already")
    _fill(planned, path, np.flatnonzero(~done))
    return store.read(path)


def refuse_what_cannot_fit(planned: Plan, path: "Path | str | None") -> None:
    """RequestError for a study beyond memory or disk, saying by how much."""
    from experiments.lab.words import amount

    free = free_bytes("cpu") if path is None else store.free_space(path)
    if free is not None and planned.bytes > free:
        where = "memory" if path is None else "the disk"
        hint = "; -o keeps them on disk, a block at a time in memory" if path is None else ""
        raise RequestError(
            f"the numbers of this study take {amount(planned.bytes)} and {where} has {amount(free)} free{hint}"
        )


def _fill(planned: Plan, path: "Path | str", missing: np.ndarray) -> None:
    """Compute and write blocks; what an interruption or a full disk leaves is finished blocks."""
    study, cut = planned.study, planned.layout
    done = cut.count - len(missing)
    try:
        with counting("blocks", len(missing), patience=1.0) as advance:
            for block in missing:
                store.write(path, study, cut, int(block), compute(study, cut.region(int(block)), planned.estimated))
                done += 1
                advance(1)
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; {done:,} of {cut.count:,} blocks are in {path}, and the same command goes on"
        ) from None
    except RunError as error:
        raise RunError(
            f"{error}; {done:,} of {cut.count:,} blocks are finished and readable, and the same command goes on"
        ) from error


def _in_memory(planned: Plan) -> "xr.Dataset":
    import xarray as xr

    study, cut, length = planned.study, planned.layout, sizes(planned.study)
    whole: dict[str, np.ndarray] = {}
    declared = variables(study, planned.estimated)
    for name, variable in declared.items():
        whole[name] = np.empty(tuple(length[d] for d in variable.dims), variable.dtype)
    sentences: dict[int, str] = {}
    with counting("blocks", cut.count, patience=1.0) as advance:
        for block in range(cut.count):
            found: Block = compute(study, cut.region(block), planned.estimated)
            for name, array in found.arrays.items():
                whole[name][cut.region(block)] = array
            sentences |= found.sentences
            advance(1)
    table = xr.Dataset(
        {name: (variable.dims, whole[name], variable.attrs) for name, variable in declared.items()},
        coords={name: xr.Variable(*given) for name, given in coordinates(study).items()},
        attrs=attributes(study),
    )
    return store.with_legend(table, sentences)
