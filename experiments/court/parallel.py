"""Runs trials, one after another or in parallel processes."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import suppress
from functools import partial
from math import inf
from multiprocessing import active_children, get_context
from threading import RLock
from typing import Any

from experiments.court.registry import ALL_CLAIMS, select, try_claim
from experiments.court.trained import stored_documents
from experiments.runtime import one_thread_each
from experiments.verdict import Verdict
from simulator.progress import track
from simulator.signals import block_signals
from theory.claims.words import AnyClaim
from theory.docket.catalogue import TRAINED

MOST = 4  # processes; the trainings of more would not fit in memory


def workers() -> int:
    """Number of processes that share the trials."""
    return min(
        MOST,
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )


def trials(claims: Sequence[AnyClaim], *, own: bool = False, **options) -> Iterator[Verdict]:
    """Verdicts on the claims as they finish; a claim that cannot be judged has the verdict REFUSED,
    with the reason.

    `options` are those of `registry.try_claim`. Full trials run in parallel processes, except a
    user's `own` claims, which these processes cannot look up.
    """
    # Quick trials are shorter than the start of a process.
    if own or options["quick"] or min(len(claims), workers()) < 2:
        tracked = track(claims, len(claims), "claims tried", lambda each: each.id)
        return map(partial(try_claim, trainings={}, **options), tracked)
    return track(
        run_parallel([claim.id for claim in claims], **options), len(claims), "claims tried"
    )


def run_parallel(ids: Sequence[str], **options) -> Iterator[Verdict]:
    """Verdicts on the project's claims with these ids, as they finish, each process with one
    thread.

    `options` are those of `registry.try_claim`. An error in this process, or closing the iterator,
    ends all workers.
    """
    others = active_children()
    # Spawned rather than forked: torch's threads do not survive a fork.
    how = {"mp_context": get_context("spawn"), "initializer": _leave_no_semaphore}
    with one_thread_each(), ProcessPoolExecutor(workers(), **how) as pool:
        try:
            with block_signals():  # this process receives Ctrl-C, and ends the others
                trials = [pool.submit(_run_job, job, options) for job in _longest_first(ids)]
            for trial in as_completed(trials):
                yield from trial.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():
                if worker not in others:
                    worker.terminate()
            raise


def _leave_no_semaphore() -> None:
    """Give tqdm a lock of this process. Its default is a semaphore, which a killed process would
    leak.
    """
    with suppress(ImportError):
        from tqdm import tqdm  # torch.compile shows a bar where it is installed

        tqdm.set_lock(RLock())


def _longest_first(ids: Sequence[str]) -> list[list[str]]:
    """Jobs, the longest first by their stored verdicts, then the largest.

    Claims about the same towers share a training and a job. Claims of a family share the optima of
    their worlds.
    """
    seconds = {stored["claim"]: stored["seconds"] for stored in stored_documents()}
    towers = {claim.id: claim.towers for claim in TRAINED}
    jobs: dict[str, list[str]] = {}
    for id in ids:
        jobs.setdefault(towers.get(id, id.partition("/")[0]), []).append(id)
    return sorted(
        jobs.values(), key=lambda job: (-max(seconds.get(id, inf) for id in job), -len(job))
    )


def _run_job(ids: Sequence[str], options: dict[str, Any]) -> list[Verdict]:
    trainings: dict = {}
    return [try_claim(claim, trainings=trainings, **options) for claim in select(ids, ALL_CLAIMS)]
