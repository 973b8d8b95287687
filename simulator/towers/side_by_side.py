"""An ensemble shared out over processes, each with its own models, which share nothing.

A step of a small ensemble is a hundred short products: two threads that meet after each of them gain a factor of 1.2
to 1.5, two processes that never meet nearly two. They are spawned, so a script that asks for them starts under
`if __name__ == "__main__":`, as with everything that spawns, and samplers and objectives of its own are registered
outside of it, where the processes find them.

Weights are those of one process bit by bit, but for the compiler: steps of fewer models may round differently.
"""

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from signal import SIGINT, SIGTERM
from traceback import format_exc
from typing import Any, NamedTuple

import torch

from simulator.processes import deaf
from simulator.towers.checkpoints import PARTS
from simulator.towers.distributed import ALONE, Group
from simulator.towers.ensemble import Ensemble, step_products
from simulator.towers.training import State, refuse_all_diverged, run, states

HEARD_WITHIN = 0.2  # seconds until a stop that is asked for is passed on
# Multiply-adds of a run that are worth other processes: below, a run takes about ten seconds, of which importing torch
# would be three and waiting for the compiler another few.
WORTH_SHARING = 2**35
# Multiply-adds of a step that a second thread is worth: below, threads that wait for each other take longer than the
# work, and beside one other busy process ten times longer (8 models, width 32, batch 128: 12 s on one thread, over
# 100 s on two).
SHARED_WORK = 2**27
KILLED = -9  # exit status, by the kernel where memory is short


def refuse_processes(processes: int, ensemble: Ensemble) -> None:
    """Refuse processes that an ensemble cannot be shared out over."""
    models = len(ensemble.models)
    if not 1 <= processes <= models:
        near = min(max(processes, 1), models)
        raise ValueError(
            f"processes = {processes} lies outside [1, {models}], a model each at least; the nearest valid value is "
            f"{near}"
        )
    if processes > 1 and not _on_cpu(ensemble):
        raise ValueError(
            f"processes = {processes} share the models of a CPU that draws its own pairs, not those of device = "
            f"{ensemble.device!r} and draw_on = {ensemble.draw_on!r}; leave it out"
        )


def _on_cpu(ensemble: Ensemble) -> bool:
    return all(device.startswith("cpu") for device in (ensemble.device, ensemble.draw_on or ensemble.device))


def processes_for(ensemble: Ensemble) -> int:
    """Processes that would train the ensemble soonest: one for each of torch's threads, as far as models go round.

    One on a GPU, for a short run, and where torch has one thread.
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
    group: Group = ALONE,
    refused: Callable[[str], None] | None = None,
) -> Iterator[State]:
    """As `simulator.towers.training.run`, in several processes; torch's threads are shared out among them."""
    if processes == 1 or int(state.step) >= ensemble.recipe.steps:
        yield from run(ensemble, state, checkpoints, stop, group, refused)
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
    parts = [
        _Part(part, _models(state, rows), list(checkpoints), _threads(part, processes))
        for part, rows in _shared_out(ensemble, processes)
    ]
    latest, last = int(state.step), ensemble.recipe.steps
    with _started(parts) as pipes:
        found = {pipe: deque[State]() for pipe in pipes}
        going, reached = list(pipes), dict[Connection, int]()
        complained = halting = told = False
        while latest < last:
            if not halting and stop():
                halting = True
                _tell(going, "halt")
            for pipe in wait(going, HEARD_WITHIN):
                word, value = _heard(pipe, pipes[pipe])
                if word == "state":
                    found[pipe].append(value)
                elif word == "stands":
                    reached[pipe] = value
                elif word == "refused" and not complained:  # once for all
                    complained = True
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
        weights = None if ensemble.group_weights is None else ensemble.group_weights[rows]
        part = ensemble._replace(worlds=ensemble.worlds[rows], models=ensemble.models[rows], group_weights=weights)
        yield part, rows


def _threads(part: Ensemble, processes: int) -> int:
    return max(1, torch.get_num_threads() // processes) if step_products(part) >= SHARED_WORK else 1


def _models(state: State, rows: slice) -> State:
    """The state of some models."""
    # Cloned: of a view the whole would be sent.
    cut = {part: {name: value[rows].clone() for name, value in getattr(state, part).items()} for part in PARTS}
    return state._replace(diverged=state.diverged[rows].clone(), **cut)


def _together(states: Sequence[State]) -> State:
    """One state of all models."""
    first = states[0]
    joined = {
        part: {name: torch.cat([getattr(s, part)[name] for s in states]) for name in getattr(first, part)}
        for part in PARTS
    }
    return first._replace(diverged=torch.cat([s.diverged for s in states]), **joined)


@contextmanager
def _started(parts: Sequence[_Part]) -> Iterator[dict[Connection, BaseProcess]]:
    """The processes by their pipes; at the end of the block, however it comes, none of them is left.

    They hear neither Ctrl-C nor SIGTERM, which may come to all processes: the one that started them stops them.
    """
    context = get_context("spawn")  # torch's threads do not survive a fork
    pipes: dict[Connection, BaseProcess] = {}
    try:
        for _ in parts:
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(theirs,), daemon=True)
            with deaf(SIGINT, SIGTERM):
                worker.start()
            theirs.close()  # so that a process that ends without a word is noticed
            pipes[ours] = worker
        for (pipe, worker), part in zip(pipes.items(), parts, strict=True):  # all of them are importing torch by now
            try:
                _say(pipe, part)
            except ConnectionError:
                raise _ended(worker) from None
        yield pipes
    finally:
        for pipe, worker in pipes.items():
            pipe.close()
            worker.kill()
            worker.join()


class ProcessEnded(RuntimeError):
    """A process that trained some of the models is gone."""


def _say(pipe: Connection, message: Any) -> None:
    """Plain pickle: multiprocessing's own would hand tensors over in shared memory, which must be kept alive."""
    pipe.send_bytes(pickle.dumps(message))


def _tell(pipes: Sequence[Connection], message: Any) -> None:
    """Say it to all who still listen: what the others said last has not been heard yet."""
    for pipe in pipes:
        with suppress(ConnectionError):
            _say(pipe, message)


def _heard(pipe: Connection, worker: BaseProcess) -> tuple[str, Any]:
    try:
        return pickle.loads(pipe.recv_bytes())
    except (EOFError, OSError):
        raise _ended(worker) from None


def _ended(worker: BaseProcess) -> ProcessEnded:
    worker.join(5)
    why = "a script that asks for processes does so under `if __name__ == '__main__':`"
    if worker.exitcode == KILLED:
        why = "too little memory is the most likely reason"
    return ProcessEnded(f"a process that trained some of the models has ended with status {worker.exitcode}; {why}")


def _work(pipe: Connection) -> None:
    """Another process: train its models, and say what becomes of them."""
    part: _Part = pickle.loads(pipe.recv_bytes())
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

    with suppress(EOFError, ConnectionError):
        try:
            for state in states(part.ensemble, part.state, part.checkpoints, stop, ALONE, refused):
                _say(pipe, ("state", state))
            _say(pipe, ("done", None))
        except (EOFError, ConnectionError):
            raise
        except Exception as error:  # whatever it is, the process that started this one raises it
            _say(pipe, ("failed", _portable(error)))


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same, as it can be raised in another process; its traceback is a note."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(format_exc())
    return error
