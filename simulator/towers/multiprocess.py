"""Training of an ensemble here, or shared among processes, each with its own models, which share nothing.

A step of a small ensemble is a hundred short products. Two threads that wait for each other after every product gain a
factor of 1.2 to 1.5, two processes nearly two. Processes are spawned, so a script that uses them starts under
`if __name__ == "__main__":` and registers its own samplers and objectives outside of it, where the processes find them.

States are those of one process bit by bit, except after compilation: steps of fewer models may round differently.
"""

import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from signal import SIGINT, SIGTERM
from threading import Thread
from typing import Any, NamedTuple

import torch

from simulator.signals import block_signals
from simulator.towers.ensemble import Ensemble, step_products
from simulator.towers.training import Refused, State, Stop, run

POLL_SECONDS = 0.2  # between two calls of `stop`
# Multiply-adds of a run for which other processes pay: a shorter run takes about ten seconds, of which they would spend
# three on importing torch and a few on waiting for the compiler.
WORTH_SHARING = 2**35
# Multiply-adds of a step for which a second thread pays. For fewer, threads that wait for each other take longer than
# the work, and ten times longer beside a busy process (8 models, width 32, batch 128: 12 s on one thread, over 100 s on
# two).
SHARED_WORK = 2**27
FARTHEST, LAST = 0, 1  # places of the shared array: the farthest step of any process, and the step at which all stop


class EveryModelDiverged(RuntimeError):
    """No model of the ensemble has a finite loss."""


class ProcessEnded(RuntimeError):
    """A process that trained some of the models has ended."""


def check_processes(processes: int, ensemble: Ensemble) -> None:
    """Refuse a number of processes that cannot share the ensemble."""
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
    return ensemble.device.startswith("cpu") and ensemble.source.startswith("cpu")


def processes_for(ensemble: Ensemble) -> int:
    """Number of processes that train the ensemble soonest: one per torch thread, at most one per model.

    One on a GPU, for a short run, where torch has one thread, and where processes share the batch.
    """
    short = ensemble.recipe.steps * step_products(ensemble) < WORTH_SHARING
    if short or not _on_cpu(ensemble) or ensemble.group.size > 1:
        return 1
    return min(torch.get_num_threads(), len(ensemble.models))


def run_in(
    processes: int,
    ensemble: Ensemble,
    state: State,
    checkpoints: Sequence[int],
    stop: Stop = lambda: False,
    refused: Refused | None = None,
) -> Iterator[State]:
    """As `simulator.towers.training.run`, in one process or in several, which share torch's threads.

    Raises EveryModelDiverged where all models are frozen.
    """
    if processes == 1 or int(state.step) >= ensemble.recipe.steps:
        found = run(ensemble, state, checkpoints, stop, refused)
    else:
        found = _gathered(_parts(processes, ensemble, state, checkpoints, refused is not None), state, stop, refused)
    for state in found:
        if bool((state.diverged >= 0).all()):
            raise EveryModelDiverged(
                f"every one of {len(ensemble.models)} models lost its finite loss, the last at step "
                f"{int(state.diverged.max())}; a smaller lr than {ensemble.recipe.lr} is the first thing to try"
            )
        yield state


class _Part(NamedTuple):
    """What one process trains."""

    ensemble: Ensemble
    state: State
    checkpoints: Sequence[int]
    may_fail_to_compile: bool
    threads: int


_worker: dict[str, Any] = {}  # what one process trains, and how far it is


def _parts(processes: int, ensemble: Ensemble, state: State, *options) -> list[_Part]:
    """Consecutive models for each process."""
    E, found = len(ensemble.models), []
    for k in range(processes):
        rows = slice(E * k // processes, E * (k + 1) // processes)
        own = ensemble._replace(worlds=ensemble.worlds[rows], models=ensemble.models[rows])
        threads = max(1, torch.get_num_threads() // processes) if step_products(own) >= SHARED_WORK else 1
        # Cloned: pickle would send the whole tensor behind a view.
        found.append(_Part(own, _tensorwise(lambda x: x[rows].clone(), state), *options, threads))  # noqa: B023
    return found


def _tensorwise(function: Callable[..., torch.Tensor], *states: State) -> State:
    """A function of the tensors of states, except for their common step."""
    found = {}
    for field in State._fields[1:]:
        first, *_ = values = [getattr(state, field) for state in states]
        if isinstance(first, dict):
            found[field] = {name: function(*(value[name] for value in values)) for name in first}
        else:
            found[field] = function(*values)
    return State(step=states[0].step, **found)


def _gathered(parts: Sequence[_Part], state: State, stop: Stop, refused: Refused | None) -> Iterator[State]:
    """States of the whole ensemble, joined as those of its parts arrive. All processes have ended when this ends.

    Ctrl-C and SIGTERM, which may reach all processes, are blocked in them: this process stops them.
    """
    context, steps = get_context("spawn"), parts[0].ensemble.recipe.steps
    shared = context.Array("q", [int(state.step), steps])
    theirs, ours = context.Pipe(duplex=False)
    pools = [ProcessPoolExecutor(1, context, _prepare, (theirs, shared)) for _ in parts]
    stopping = False
    try:
        with block_signals(SIGINT, SIGTERM):
            for pool, part in zip(pools, parts, strict=True):
                pool.submit(_begin, pickle.dumps(part))
        theirs.close()
        coming = [pool.submit(_next_state) for pool in pools]
        while True:
            pending = coming
            while pending:
                if not stopping and stop():
                    stopping = True
                    with shared.get_lock():  # no process is beyond the step after the farthest
                        shared[LAST] = min(shared[FARTHEST] + 1, steps)
                done, pending = wait(pending, POLL_SECONDS, FIRST_EXCEPTION)
                for reply in done:
                    reply.result()
            states, reasons = zip(*(pickle.loads(reply.result()) for reply in coming), strict=True)
            for reason in {*reasons} - {None}:
                refused(reason)
            if states[0] is None:
                return
            coming = [pool.submit(_next_state) for pool in pools]  # processes train on while this one evaluates
            yield _tensorwise(lambda *x: torch.cat(x), *states)
    except BrokenProcessPool:
        raise ProcessEnded(
            "a process that trained some of the models has ended: memory is too short, or a script asks for processes "
            "outside of `if __name__ == '__main__':`"
        ) from None
    finally:
        ours.close()
        for pool in pools:
            pool.shutdown(cancel_futures=True)


# In the processes.


def _prepare(pipe: Connection, shared) -> None:
    """End with the process that started this one, or when it closes its end of the pipe."""
    _worker["shared"] = shared

    def end() -> None:
        with suppress(EOFError):
            pipe.recv()
        os._exit(0)

    Thread(target=end, daemon=True).start()


def _begin(message: bytes) -> None:
    """Start the training of a part. (Plain pickle: multiprocessing's own would put tensors into shared memory.)"""
    part: _Part = pickle.loads(message)
    torch.set_num_threads(part.threads)
    shared, steps = _worker["shared"], count(int(part.state.step) + 1)

    def stop() -> bool:
        step = next(steps)
        with shared.get_lock():
            shared[FARTHEST] = max(shared[FARTHEST], step)
            return step >= shared[LAST]

    _worker["reasons"] = reasons = []
    refused = reasons.append if part.may_fail_to_compile else None
    _worker["states"] = run(part.ensemble, part.state, part.checkpoints, stop, refused)


def _next_state() -> bytes:
    """(the next state, None after the last; the reason if compilation has failed), pickled."""
    state, reasons = next(_worker["states"], None), _worker["reasons"]
    return pickle.dumps((state, reasons.pop() if reasons else None))
