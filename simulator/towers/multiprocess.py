"""Training of an ensemble in this process, or in several processes that each train some of the models.

A step of a small ensemble is a hundred short products. Two threads that wait for each other after every product gain a
factor of 1.2 to 1.5, two processes nearly two. Processes are spawned, so a script that uses them starts under
`if __name__ == "__main__":`. It registers its own samplers and objectives outside of it, so that all processes do.

States equal those of one process bit by bit, except after compilation: steps of fewer models may round differently.
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
# Multiply-adds from which a run is faster in several processes. A shorter run takes about ten seconds. Each process
# spends three of them on importing torch, and a few on waiting for the compiler.
WORTH_SHARING = 2**35
# Multiply-adds from which a step is faster on two threads. In shorter steps they mostly wait for each other, ten times
# as long beside a busy process (8 models, width 32, batch 128: 12 s on one thread, over 100 s on two).
SHARED_WORK = 2**27
FARTHEST, LAST = 0, 1  # indices of the shared array: the latest step of any process, and the step at which all stop


class EveryModelDiverged(RuntimeError):
    """No model of the ensemble has a finite loss."""


class ProcessEnded(RuntimeError):
    """A process that trained some of the models has ended."""


def check_processes(processes: int, ensemble: Ensemble) -> None:
    """Raise ValueError for a number of processes that cannot share the ensemble."""
    models = len(ensemble.models)
    if not 1 <= processes <= models:
        near = min(max(processes, 1), models)
        raise ValueError(
            f"processes = {processes} lies outside [1, {models}], at least one model each; the nearest valid value is "
            f"{near}"
        )
    if processes > 1 and not _on_cpu(ensemble):
        raise ValueError(
            f"processes = {processes} needs training and drawing on the CPU, not device = {ensemble.device!r} and "
            f"draw_on = {ensemble.draw_on!r}; leave it out"
        )


def _on_cpu(ensemble: Ensemble) -> bool:
    return ensemble.device.startswith("cpu") and ensemble.source.startswith("cpu")


def processes_for(ensemble: Ensemble) -> int:
    """The fastest number of processes for the ensemble: one per torch thread, at most one per model.

    It is one on a GPU, for a short run, with one torch thread, and if torchrun's processes share the batch.
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
    """`simulator.towers.training.run` in one process, or in several that share torch's threads.

    Raises EveryModelDiverged if all models are frozen.
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
    """One process's share of an ensemble."""

    ensemble: Ensemble
    state: State
    checkpoints: Sequence[int]
    may_fail_to_compile: bool
    threads: int


_worker: dict[str, Any] = {}  # state of training in one process


def _parts(processes: int, ensemble: Ensemble, state: State, *options) -> list[_Part]:
    """Split the ensemble into consecutive models per process."""
    E, found = len(ensemble.models), []
    for k in range(processes):
        rows = slice(E * k // processes, E * (k + 1) // processes)
        own = ensemble._replace(worlds=ensemble.worlds[rows], models=ensemble.models[rows])
        threads = max(1, torch.get_num_threads() // processes) if step_products(own) >= SHARED_WORK else 1
        # Cloned: pickle would send the whole tensor behind a view.
        found.append(_Part(own, _tensorwise(lambda x: x[rows].clone(), state), *options, threads))  # noqa: B023
    return found


def _tensorwise(function: Callable[..., torch.Tensor], *states: State) -> State:
    """Apply a function to the corresponding tensors of states; their common step stays."""
    found = {}
    for field in State._fields[1:]:
        first, *_ = values = [getattr(state, field) for state in states]
        if isinstance(first, dict):
            found[field] = {name: function(*(value[name] for value in values)) for name in first}
        else:
            found[field] = function(*values)
    return State(step=states[0].step, **found)


def _gathered(parts: Sequence[_Part], state: State, stop: Stop, refused: Refused | None) -> Iterator[State]:
    """Yield states of the whole ensemble, joined from its parts. All processes end before this generator does.

    Ctrl-C and SIGTERM may reach all processes. The others block them, and this process stops the others.
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
                    with shared.get_lock():  # no process is beyond step FARTHEST + 1
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
            "a process that trained some of the models has ended: memory is too small, or a script starts processes "
            "outside of `if __name__ == '__main__':`"
        ) from None
    finally:
        ours.close()
        for pool in pools:
            pool.shutdown(cancel_futures=True)


# These functions run in the started processes.


def _prepare(pipe: Connection, shared) -> None:
    """End this process when its parent ends or closes the pipe."""
    _worker["shared"] = shared

    def end() -> None:
        with suppress(EOFError):
            pipe.recv()
        os._exit(0)

    Thread(target=end, daemon=True).start()


def _begin(message: bytes) -> None:
    """Start to train a part. (Plain pickle: multiprocessing's pickler would put tensors into shared memory.)"""
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
    """Pickled (next state or, after the last, None; the reason if compilation failed, else None)."""
    state, reasons = next(_worker["states"], None), _worker["reasons"]
    return pickle.dumps((state, reasons.pop() if reasons else None))
