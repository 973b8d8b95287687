"""An ensemble shared out over processes, each with its own models, which share nothing.

A step of a small ensemble is a hundred short products: two threads that meet after each of them gain a factor of 1.2
to 1.5, two processes that never meet nearly two. They are spawned, so a script that asks for them starts under
`if __name__ == "__main__":`, as with everything that spawns.
"""

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from signal import SIG_IGN, SIGINT, signal
from typing import Any, NamedTuple

import torch

from simulator.towers.training import Ensemble, State, refuse_all_diverged, run, states, step_products

HEARD_WITHIN = 0.2  # seconds until a stop that is asked for is passed on
# Multiply-adds of a run that are worth other processes: below, a run takes about ten seconds, of which importing torch
# would be three and waiting for the compiler another few.
WORTH_SHARING = 2**35


def refuse_processes(processes: int, ensemble: Ensemble) -> None:
    """Refuse processes that an ensemble cannot be shared out over.

    Parameters
    ----------
    processes
        That are asked for.
    ensemble : Ensemble

    Raises
    ------
    ValueError
        Where some would have no model, or on another device than a CPU.
    """
    models = len(ensemble.models)
    if not 1 <= processes <= models:
        near = min(max(processes, 1), models)
        raise ValueError(
            f"processes = {processes} lies outside [1, {models}], a model each at least; the nearest valid value is "
            f"{near}"
        )
    if processes > 1 and not _on_cpu(ensemble):
        raise ValueError(
            f"processes = {processes} share the models of a CPU, and device = {ensemble.device!r} trains all of them "
            "at once; leave it out"
        )


def _on_cpu(ensemble: Ensemble) -> bool:
    return all(device.startswith("cpu") for device in (ensemble.device, ensemble.draw_on or ensemble.device))


def processes_for(ensemble: Ensemble) -> int:
    """Processes that would train the ensemble soonest: one for each of torch's threads, as far as models go round.

    One on a GPU, for a short run, and where torch has one thread.

    Parameters
    ----------
    ensemble : Ensemble
    """
    if not _on_cpu(ensemble) or ensemble.recipe.steps * step_products(ensemble) < WORTH_SHARING:
        return 1
    return min(torch.get_num_threads(), len(ensemble.models))


def run_in(
    processes: int,
    ensemble: Ensemble,
    state: State,
    checkpoints: Sequence[int],
    stop: Callable[[], bool] = lambda: False,
    refused: Callable[[str], None] | None = None,
) -> Iterator[State]:
    """As `simulator.towers.training.run`, in several processes; torch's threads are shared out among them.

    Parameters
    ----------
    processes
        1 trains here.
    ensemble, state, checkpoints, refused
        As of `run`.
    stop
        Asked several times a second; all models then stop at the same step.

    Yields
    ------
    State
        Of all models.

    Raises
    ------
    EveryModelDiverged, ValueError
        As `run`.
    ProcessEnded
        If a process is gone before its models are trained.
    """
    if processes == 1:
        yield from run(ensemble, state, checkpoints, stop, refused=refused)
        return
    for found in _gathered(processes, ensemble, state, checkpoints, stop, refused or _must_compile):
        refuse_all_diverged(ensemble, found)
        yield found


def _must_compile(reason: str) -> None:
    raise RuntimeError(f"torch.compile failed: {reason}")


class _Part(NamedTuple):
    """What a process is told at its start."""

    ensemble: Ensemble
    state: State
    checkpoints: list[int]
    threads: int


def _gathered(processes: int, ensemble: Ensemble, state: State, checkpoints, stop, refused) -> Iterator[State]:
    """The states of all parts, put together as they come."""
    threads = max(1, torch.get_num_threads() // processes)
    parts = [
        _Part(part, _models(state, rows), list(checkpoints), threads) for part, rows in _shared_out(ensemble, processes)
    ]
    latest, last = int(state.step), ensemble.recipe.steps
    with _started(parts) as pipes:
        found = {pipe: deque[State]() for pipe in pipes}
        going, reached, refusals, halting, told = list(pipes), dict[Connection, int](), 0, False, False
        while latest < last:
            if not halting and stop():
                halting = True
                _tell(going, "halt")
            for pipe in wait(going, HEARD_WITHIN):
                word, value = _heard(pipe)
                if word == "state":
                    found[pipe].append(value)
                elif word == "stands":
                    reached[pipe] = value
                elif word == "refused" and not refusals:  # once for all
                    refusals += 1
                    refused(value)
                elif word == "failed":
                    raise value
                elif word == "done":
                    going.remove(pipe)
                    reached.setdefault(pipe, ensemble.recipe.steps)
            if halting and not told and len(reached) == len(pipes):  # all go on to where the farthest stands
                told, last = True, max(reached.values())
                _tell(going, last)
            while all(found.values()):
                whole = _together([found[pipe].popleft() for pipe in pipes])
                latest = int(whole.step)
                yield whole


def _shared_out(ensemble: Ensemble, processes: int) -> Iterator[tuple[Ensemble, slice]]:
    """The ensembles of the processes, with their places in the whole."""
    E = len(ensemble.models)
    for k in range(processes):
        rows = slice(E * k // processes, E * (k + 1) // processes)
        yield ensemble._replace(worlds=ensemble.worlds[rows], models=ensemble.models[rows]), rows


def _models(state: State, rows: slice) -> State:
    """The state of some models."""
    cut = [{n: value[rows].clone() for n, value in part.items()} if isinstance(part, dict) else part for part in state]
    return State(*cut)._replace(diverged=state.diverged[rows].clone())


def _together(states: Sequence[State]) -> State:
    """One state of all models."""
    first = states[0]
    joined = {
        field: {name: torch.cat([getattr(s, field)[name] for s in states]) for name in value}
        for field, value in first._asdict().items()
        if isinstance(value, dict)
    }
    return first._replace(diverged=torch.cat([s.diverged for s in states]), **joined)


@contextmanager
def _started(parts: Sequence[_Part]) -> Iterator[list[Connection]]:
    """Pipes of the processes; at the end of the block, however it comes, none of them is left."""
    context = get_context("spawn")  # torch's threads do not survive a fork
    workers, pipes = [], []
    try:
        for part in parts:
            ours, theirs = context.Pipe()
            workers.append(context.Process(target=_work, args=(theirs, pickle.dumps(part)), daemon=True))
            workers[-1].start()
            theirs.close()  # so that a process that ends without a word is noticed
            pipes.append(ours)
        yield pipes
    finally:
        for pipe in pipes:
            pipe.close()
        for worker in workers:
            worker.terminate()
            worker.join()


class ProcessEnded(RuntimeError):
    """A process that trained some of the models is gone."""


def _say(pipe: Connection, message: Any) -> None:
    """Plain pickle: multiprocessing's own would hand tensors over in shared memory, which must be kept alive."""
    pipe.send_bytes(pickle.dumps(message))


def _tell(pipes: Sequence[Connection], message: Any) -> None:
    """Say it to all who still listen: what the others said last has not been heard yet."""
    for pipe in pipes:
        with suppress(BrokenPipeError):
            _say(pipe, message)


def _heard(pipe: Connection) -> tuple[str, Any]:
    try:
        return pickle.loads(pipe.recv_bytes())
    except (EOFError, ConnectionResetError):
        raise ProcessEnded(
            "a process that trained some of the models has ended; too little memory is the most likely reason"
        ) from None


def _work(pipe: Connection, told: bytes) -> None:
    """Another process: train its models, and say what becomes of them."""
    signal(SIGINT, SIG_IGN)  # a terminal's Ctrl-C comes to all processes; the one that started this one stops it
    part: _Part = pickle.loads(told)
    torch.set_num_threads(part.threads)
    steps, goal = count(int(part.state.step) + 1), inf

    def stop() -> bool:
        nonlocal goal
        step = next(steps)
        if goal == inf and pipe.poll():
            pipe.recv_bytes()  # halt; the end of the pipe, if there is nobody left to train for
            _say(pipe, ("stands", step))
            goal = pickle.loads(pipe.recv_bytes())
        return step >= goal

    def refused(reason: str) -> None:
        _say(pipe, ("refused", reason))

    try:
        for state in states(part.ensemble, part.state, part.checkpoints, stop, refused=refused):
            _say(pipe, ("state", state))
        _say(pipe, ("done", None))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:  # whatever it is, the process that started this one raises it
        _say(pipe, ("failed", error))
