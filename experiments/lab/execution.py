"""`run(study, path)`: compute the blocks that are missing, and read the whole back."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from secrets import randbelow
from typing import TYPE_CHECKING

import numpy as np

from experiments.errors import RequestError
from experiments.lab import store
from experiments.lab.blocks import Layout, Region
from experiments.lab.compute import compute
from experiments.lab.executors import Execute, here
from experiments.lab.interruption import keeping
from experiments.lab.planning import Plan, plan
from experiments.lab.schema import Block, assembled
from experiments.lab.spec import StudySpec
from experiments.lab.words import amount
from experiments.progress import counting
from experiments.runtime import free_bytes

if TYPE_CHECKING:
    import xarray as xr


def run(
    study: StudySpec,
    path: "Path | str | None" = None,
    *,
    planned: Plan | None = None,
    execute: Execute = here,
    report: Callable[[str], None] = lambda line: None,
) -> "xr.Dataset":
    """The Dataset of a study, kept in a store at `path` or computed in memory.

    `report` is called with a line on blocks that are finished already, and on damaged ones.
    """
    if path is not None:
        path = store.located(path)
        store.refuse(path, study)
    planned = planned or plan(study)
    refuse_what_cannot_fit(planned, path)
    if path is None:
        return _in_memory(planned, execute)
    existed = store.begin(path, study, planned.estimated)
    done = _intact(path, planned.layout, report) if existed else store.finished(path, planned.layout)
    if existed:
        report(f"{done.sum():,} of {len(done):,} blocks are in {path} already")
    missing = np.flatnonzero(~done)
    if len(missing):
        store.refuse_read_only(path)
        # Two processes that share a store start at different blocks, and skip those that the other one has finished.
        first = randbelow(len(missing)) if existed else 0
        _fill(planned, path, np.roll(missing, -first).tolist(), execute)
    return store.read(path)


def refuse_what_cannot_fit(planned: Plan, path: "Path | str | None") -> None:
    """Raise RequestError if the missing numbers exceed the memory, or the disk."""
    if path is None:
        free, missing, where = free_bytes("cpu"), planned.bytes, "memory"
    else:
        done = store.finished(path, planned.layout).mean() if store.stands(path) else 0.0
        free, missing, where = store.free_space(path), round(planned.bytes * (1 - done)), "the disk"
    if free is not None and missing > free:
        which = "of this study" if missing == planned.bytes else "that are missing of this study"
        hint = "; a store (--output) keeps them on disk, one block at a time in memory" if path is None else ""
        raise RequestError(f"the numbers {which} take {amount(missing)} and {where} has {amount(free)} free{hint}")


def _intact(path: "Path | str", layout: Layout, report: Callable[[str], None]) -> np.ndarray:
    """(count,) whether each block is finished and undamaged; damaged ones are marked as unfinished in the store."""
    done = store.finished(path, layout)
    for block, chunk in list(store.damaged(path, layout, done)):
        report(f"{chunk} is damaged, so its block is computed again")
        store.forget(path, layout, block)
        done[block] = False
    return done


def _fill(planned: Plan, path: "Path | str", missing: list[int], execute: Execute) -> None:
    def kept() -> str:
        done = int(store.finished(path, planned.layout).sum())
        return f"{done:,} of {planned.layout.count:,} blocks are in {path}"

    with keeping(kept), counting("blocks", len(missing)) as advance:
        for _ in execute(partial(_finish, planned, store.absolute(path)), missing):
            advance(1)


def _finish(planned: Plan, path: "Path | str", block: int) -> int:
    """Compute one block and write it, unless another process has done so; its number."""
    if not store.is_finished(path, planned.layout, block):
        store.write(path, planned.layout, block, _compute(planned, block)[1])
    return block


def _compute(planned: Plan, block: int) -> tuple[Region, Block]:
    region = planned.layout.region(block)
    return region, compute(planned.study, region, planned.estimated)


def _in_memory(planned: Plan, execute: Execute) -> "xr.Dataset":
    blocks = range(planned.layout.count)
    with counting("blocks", len(blocks)) as advance:

        def counted() -> Iterator[tuple[Region, Block]]:
            for block in execute(partial(_compute, planned), blocks):
                yield block
                advance(1)

        return assembled(planned.study, planned.estimated, counted())
