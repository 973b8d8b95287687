"""A study run: what is missing of it computed block by block, and the whole of it read back."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from secrets import randbelow
from typing import TYPE_CHECKING

import numpy as np

from experiments.errors import RequestError
from experiments.lab import store
from experiments.lab.blocks import Layout
from experiments.lab.cells import Block, compute
from experiments.lab.executors import Execute, here
from experiments.lab.interruption import keeping
from experiments.lab.plan import Plan, plan
from experiments.lab.result import assembled
from experiments.lab.study import Study
from experiments.lab.words import amount
from experiments.progress import counting
from experiments.runtime import free_bytes

if TYPE_CHECKING:
    import xarray as xr


def sweep(
    study: Study,
    path: "Path | str | None" = None,
    *,
    planned: Plan | None = None,
    execute: Execute = here,
    report: Callable[[str], None] = lambda line: None,
) -> "xr.Dataset":
    """See `Study.run`; `report` hears what is done already and what is damaged."""
    if path is not None:
        path = store.located(path)
        store.refuse(path, study)
    planned = planned or plan(study)
    refuse_what_cannot_fit(planned, path)
    if path is None:
        return _in_memory(planned, execute)
    stood = store.begin(path, study, planned.estimated)
    done = _mended(path, planned.layout, report) if stood else store.finished(path, planned.layout)
    if stood:
        report(f"{done.sum():,} of {len(done):,} blocks are in {path} already")
    missing = np.flatnonzero(~done)
    if len(missing):
        store.refuse_read_only(path)
        # Two processes on one store begin at different places, and leave out what the other one finished.
        _fill(planned, path, np.roll(missing, -randbelow(len(missing)) if stood else 0).tolist(), execute)
    return store.read(path)


def refuse_what_cannot_fit(planned: Plan, path: "Path | str | None") -> None:
    """RequestError for a study whose missing numbers are beyond memory or disk, saying by how much."""
    if path is None:
        free, missing, where = free_bytes("cpu"), planned.bytes, "memory"
    else:
        there = store.finished(path, planned.layout).mean() if store.stands(path) else 0.0
        free, missing, where = store.free_space(path), round(planned.bytes * (1 - there)), "the disk"
    if free is not None and missing > free:
        which = "of this study" if missing == planned.bytes else "that are missing of this study"
        hint = "; a store (--output) keeps them on disk, one block at a time in memory" if path is None else ""
        raise RequestError(f"the numbers {which} take {amount(missing)} and {where} has {amount(free)} free{hint}")


def finish(planned: Plan, path: "Path | str", block: int) -> int:
    """Compute one block and write it, unless it is there by now; its number."""
    if not store.is_finished(path, planned.layout, block):
        numbers = compute(planned.study, planned.layout.region(block), planned.estimated)
        store.write(path, planned.layout, block, numbers)
    return block


def _mended(path: "Path | str", layout: Layout, report: Callable[[str], None]) -> np.ndarray:
    """(count,) whether each block is finished; one with a damaged chunk is not any more."""
    done = store.finished(path, layout)
    for damage in store.damaged(path, layout, done):
        report(f"{damage.name} is damaged, so its block is computed again")
        store.forget(path, layout, damage.block)
        done[damage.block] = False
    return done


def _fill(planned: Plan, path: "Path | str", missing: list[int], execute: Execute) -> None:
    """Finish the missing blocks."""

    def kept() -> str:
        done = int(store.finished(path, planned.layout).sum())
        return f"{done:,} of {planned.layout.count:,} blocks are in {path}"

    with keeping(kept), counting("blocks", len(missing)) as advance:
        for _ in execute(partial(finish, planned, store.absolute(path)), missing):
            advance(1)


def _numbers(planned: Plan, block: int) -> tuple[int, Block]:
    return block, compute(planned.study, planned.layout.region(block), planned.estimated)


def _in_memory(planned: Plan, execute: Execute) -> "xr.Dataset":
    blocks = range(planned.layout.count)
    with counting("blocks", len(blocks)) as advance:

        def counted() -> Iterator[tuple[tuple[slice, ...], Block]]:
            for block, numbers in execute(partial(_numbers, planned), blocks):
                yield planned.layout.region(block), numbers
                advance(1)

        return assembled(planned.study, planned.estimated, counted())
