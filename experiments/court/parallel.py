"""Runs trials, one after another or in parallel processes, and keeps every finished verdict."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from math import inf
from multiprocessing import active_children, get_context
from pathlib import Path
from threading import RLock
from typing import Any

from experiments.court.registry import Trial, all_trials, chosen
from experiments.court.trained import stored_verdicts
from experiments.errors import RequestError
from experiments.files import output_folder, write_json
from experiments.progress import track
from experiments.runtime import one_thread_each
from experiments.verdict import REFUSED, Verdict
from simulator.signals import block_signals
from theory.claims import trained

MOST = 4  # processes: more would not fit in memory beside each other's trainings


def workers() -> int:
    """Number of processes that share the trials."""
    return min(MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def run_all(
    trials: list[Trial],
    *,
    seed: int,
    quick: bool,
    error_rate: float | None,
    output: Path | None,
    proving: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Run the trials; `output`/verdicts.json is rewritten after each, in the order of `trials`.

    With `proving` the trials must be those of `all_trials(**proving)`, and full trials run in parallel processes.
    Without it they run in this process. A claim that cannot be judged is recorded as REFUSED with the reason; the
    others keep their verdicts. Raises RequestError if none can be judged.
    """
    folder = None if output is None else output_folder(output)
    how = {"seed": seed, "quick": quick, "error_rate": error_rate}
    places = {trial.id: place for place, trial in enumerate(trials)}
    if proving is None or quick or min(len(trials), workers()) < 2:  # quick ones last no longer than processes start
        found = (run_one(trial, **how) for trial in track(trials, len(trials), "claims tried", lambda trial: trial.id))
    else:
        found = track(run_parallel(list(places), **how, proving=proving), len(trials), "claims tried")
    verdicts: list[dict[str, Any]] = []
    for verdict in found:
        verdicts = sorted([*verdicts, verdict], key=lambda one: places[one["claim"]])
        if folder is not None:
            write_json(folder / "verdicts.json", verdicts)
    if verdicts and all(verdict["verdict"] == REFUSED for verdict in verdicts):
        raise RequestError(verdicts[0]["reason"])
    return verdicts


def run_one(trial: Trial, seed: int, quick: bool, error_rate: float | None) -> dict[str, Any]:
    """The verdict, or a REFUSED one with the reason."""
    try:
        return _of_this_seed(trial.run(seed, quick, error_rate), seed)
    except RequestError as error:
        refused = Verdict(
            kind="refused",
            claim=trial.id,
            source=trial.source,
            statement=trial.statement,
            verdict=REFUSED,
            reason=str(error),
            seconds=0.0,
            seed=seed,
        )
        return refused.as_json()


def _of_this_seed(verdict: dict[str, Any], seed: int) -> dict[str, Any]:
    """The verdict. Raises RequestError for a stored one of another seed: it would not be the requested one."""
    if verdict.get("stored") and verdict["seed"] != seed:
        raise RequestError(
            f"--seed = {seed}: --quick shows the verdict of claim {verdict['claim']!r} that is stored for seed "
            f"{verdict['seed']}; leave --seed out, or leave --quick out to train"
        )
    return verdict


def run_parallel(
    ids: Sequence[str], *, seed: int, quick: bool, error_rate: float | None, proving: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Verdicts of `all_trials(**proving)` with these ids, as they finish, each process with one thread.

    An error in this process, or closing the iterator, ends the other processes.
    """
    others = active_children()
    # Spawned rather than forked: torch's threads do not survive a fork.
    how = {"mp_context": get_context("spawn"), "initializer": _leave_no_semaphore}
    with one_thread_each(), ProcessPoolExecutor(workers(), **how) as pool:
        try:
            with block_signals():  # this process receives Ctrl-C, and ends the others
                trials = [pool.submit(_run_job, job, seed, quick, error_rate, proving) for job in _longest_first(ids)]
            for trial in as_completed(trials):
                yield from trial.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():
                if worker not in others:
                    worker.terminate()
            raise


def _leave_no_semaphore() -> None:
    """Give tqdm a lock of this process. Its default is a semaphore, which a killed process would leak."""
    try:
        from tqdm import tqdm  # start-up time
    except ImportError:  # only extras bring it
        return
    tqdm.set_lock(RLock())


def _longest_first(ids: Sequence[str]) -> list[list[str]]:
    """Jobs, the longest first by their stored verdicts. Claims about the same towers are one job: one training."""
    seconds = {verdict["claim"]: verdict["seconds"] for verdict in stored_verdicts()}
    towers = {claim.id: claim.towers for claim in trained.CLAIMS}
    jobs: dict[str, list[str]] = {}
    for id in ids:
        jobs.setdefault(towers.get(id, id), []).append(id)
    return sorted(jobs.values(), key=lambda job: -max(seconds.get(id, inf) for id in job))


def _run_job(
    ids: Sequence[str], seed: int, quick: bool, error_rate: float | None, proving: dict[str, Any]
) -> list[dict[str, Any]]:
    return [run_one(trial, seed, quick, error_rate) for trial in chosen(tuple(ids), _all_trials(**proving))]


@cache
def _all_trials(**proving) -> list[Trial]:
    return all_trials(**proving)
