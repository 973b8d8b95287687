"""Trials on as many processes as there are cores, one thread each: no verdict depends on another."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from math import inf
from multiprocessing import active_children, get_context
from threading import RLock
from typing import Any

from experiments.court.docket import Trial, chosen, docket, held
from experiments.court.trained import stored_verdicts
from experiments.runtime import one_thread_each
from simulator.signals import block_signals
from theory.claims.trained import trained_claims

MOST = 4  # processes: more than a few would not fit beside each other's trainings


def workers() -> int:
    """Processes that share out a docket."""
    return min(MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def held_together(
    ids: Sequence[str], *, seed: int, quick: bool, error_rate: float | None, proving: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Verdicts, as of `docket.held`, as they come. What ends this process, or stops asking, ends the others."""
    others = active_children()
    # Spawned rather than forked: torch's threads do not survive a fork.
    how = {"mp_context": get_context("spawn"), "initializer": _leave_no_semaphore}
    with one_thread_each(), ProcessPoolExecutor(workers(), **how) as pool:
        try:
            with block_signals():  # this process hears Ctrl-C, and ends them
                trials = [pool.submit(_held, job, seed, quick, error_rate, proving) for job in _longest_first(ids)]
            for trial in as_completed(trials):
                yield from trial.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():
                if worker not in others:
                    worker.terminate()
            raise


def _leave_no_semaphore() -> None:
    """torch's compiler makes a bar of tqdm, and that a semaphore, which outlives a process that is ended: Python warns
    of it when all is over. A lock of this process alone is enough."""
    try:
        from tqdm import tqdm
    except ImportError:  # only extras bring it
        return
    tqdm.set_lock(RLock())


def _longest_first(ids: Sequence[str]) -> list[list[str]]:
    """Claims about the same towers together, which are trained once. The last job to end begins early: how long a
    training takes is known from its stored verdict."""
    seconds = {verdict["claim"]: verdict["seconds"] for verdict in stored_verdicts()}
    towers = {claim.id: claim.towers for claim in trained_claims()}
    jobs: dict[str, list[str]] = {}
    for id in ids:
        jobs.setdefault(towers.get(id, id), []).append(id)
    return sorted(jobs.values(), key=lambda job: -max(seconds.get(id, inf) for id in job))


def _held(
    ids: Sequence[str], seed: int, quick: bool, error_rate: float | None, proving: dict[str, Any]
) -> list[dict[str, Any]]:
    return [held(trial, seed, quick, error_rate) for trial in chosen(tuple(ids), _docket(**proving))]


@cache
def _docket(**proving) -> list[Trial]:
    return docket(**proving)
