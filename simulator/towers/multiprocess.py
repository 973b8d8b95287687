"""Training of an ensemble in this process, or in several processes that each train some of the
models.

In a small ensemble's hundred short products per step two threads gain a factor of 1.2 to 1.5, two
processes nearly two. joblib took as long and could neither stop at a step nor compile once.
Processes are spawned: a script registers its own samplers and objectives outside of `if __name__ ==
"__main__":`.

States equal those of one process bit by bit, except after compilation: steps of fewer models may
round differently.
"""

import os
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from signal import SIGINT, SIGTERM
from threading import Thread

import torch
from torch.utils._pytree import tree_map

from simulator.quantities import check_count
from simulator.signals import block_signals
from simulator.towers.ensemble import Ensemble, step_products
from simulator.towers.training import Refused, State, Stop, run

POLL_SECONDS = 0.2  # between two calls of `stop`
WORTH_SHARING = 2**35  # multiply-adds from which a run is faster in several processes: ten seconds
# Multiply-adds from which a step is faster on two threads, which mostly wait for each other in
# shorter ones (8 models, width 32, batch 128, beside a busy process: 12 s on one thread, over 100 s
# on two).
SHARED_WORK = 2**27
# indices of the shared array: the latest step of any process, and the step at which all stop
FARTHEST, LAST = 0, 1


class EveryModelDiverged(RuntimeError):
    """No model of the ensemble has a finite loss."""


class ProcessEnded(RuntimeError):
    """A process that trained some of the models has ended."""


def check_processes(processes: int, ensemble: Ensemble) -> None:
    """Raise ValueError for a number of processes that cannot share the ensemble."""
    check_count("processes", processes, 1, len(ensemble.models))
    if processes > 1 and not _on_cpu(ensemble):
        raise ValueError(
            f"processes = {processes} needs training and drawing on the CPU, not device ="
            f" {ensemble.device!r} and draw_on = {ensemble.draw_on!r}; leave it out"
        )


def _on_cpu(ensemble: Ensemble) -> bool:
    return ensemble.device.startswith("cpu") and ensemble.source.startswith("cpu")


@contextmanager
def threads_for(ensemble: Ensemble) -> Iterator[None]:
    """One thread for small steps on a CPU."""
    threads = torch.get_num_threads()
    if ensemble.device.startswith("cpu") and step_products(ensemble) < SHARED_WORK:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def processes_for(ensemble: Ensemble) -> int:
    """The fastest number of processes: one per torch thread and at most one per model; 1 for short
    runs.
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
    """`simulator.towers.training.run` in one process or several; raises EveryModelDiverged if all
    models are frozen.
    """
    if processes == 1 or int(state.step) >= ensemble.recipe.steps:
        result = run(ensemble, state, checkpoints, stop, refused)
    else:
        result = _gathered(_parts(processes, ensemble, state), state, checkpoints, stop, refused)
    for state in result:
        if bool((state.diverged >= 0).all()):
            raise EveryModelDiverged(
                f"every one of {len(ensemble.models)} models lost its finite loss, the last at step"
                f" {int(state.diverged.max())}; a smaller lr than {ensemble.recipe.lr} is the first"
                " thing to try"
            )
        yield state


def _parts(processes: int, ensemble: Ensemble, state: State) -> list[tuple[Ensemble, State, int]]:
    """Consecutive models, their state and the number of threads, per process."""
    E = len(ensemble.models)
    parts = []
    for k in range(processes):
        rows = slice(E * k // processes, E * (k + 1) // processes)
        own = ensemble._replace(worlds=ensemble.worlds[rows], models=ensemble.models[rows])
        threads = (
            max(1, torch.get_num_threads() // processes) if step_products(own) >= SHARED_WORK else 1
        )
        # Cloned: pickle would send the whole tensor behind a view. The step, a number, is common.
        part = tree_map(lambda x: x[rows].clone() if x.ndim else x, state)  # noqa: B023
        parts.append((own, part, threads))
    return parts


def _gathered(
    parts: Sequence[tuple[Ensemble, State, int]],
    state: State,
    checkpoints: Sequence[int],
    stop: Stop,
    refused: Refused | None,
) -> Iterator[State]:
    """Yield states joined from all parts. The processes block Ctrl-C and SIGTERM, and end before
    the generator.
    """
    context = get_context("spawn")
    steps = parts[0][0].recipe.steps
    stopping = False
    shared = context.Array("q", [int(state.step), steps])
    pipes, theirs = zip(*(context.Pipe() for _ in parts), strict=True)
    processes = [context.Process(target=_train_part, args=(pipe, shared)) for pipe in theirs]
    try:
        with block_signals(SIGINT, SIGTERM):
            for process, pipe in zip(processes, theirs, strict=True):
                process.start()
                pipe.close()
        for pipe, part in zip(pipes, parts, strict=True):
            pipe.send_bytes(pickle.dumps((*part, checkpoints, refused is not None)))
        while True:
            replies: dict[Connection, list] = {}
            while len(replies) < len(parts):
                if not stopping and stop():
                    stopping = True
                    with shared.get_lock():  # no process is beyond step FARTHEST + 1
                        shared[LAST] = min(shared[FARTHEST] + 1, steps)
                for pipe in wait([pipe for pipe in pipes if pipe not in replies], POLL_SECONDS):
                    *replies[pipe], failure = pickle.loads(pipe.recv_bytes())
                    if failure is not None:
                        raise failure
            states, reasons = zip(*(replies[pipe] for pipe in pipes), strict=True)
            for reason in {*reasons} - {None}:
                refused(reason)
            if states[0] is None:
                return
            yield tree_map(lambda *x: torch.cat(x) if x[0].ndim else x[0], *states)
    except (EOFError, ConnectionError):
        raise ProcessEnded(
            "a process that trained some of the models has ended: memory is too small, or a script"
            " starts processes outside of `if __name__ == '__main__':`"
        ) from None
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()


def _train_part(pipe: Connection, shared) -> None:
    """Train a part in a started process and send (state, why compilation failed, exception) again
    and again.

    Plain pickle: multiprocessing's would put tensors into shared memory.
    """
    Thread(target=_end_with_parent, daemon=True).start()
    ensemble, begun, threads, checkpoints, may_fail_to_compile = pickle.loads(pipe.recv_bytes())
    torch.set_num_threads(threads)
    steps = count(int(begun.step) + 1)
    reasons = []

    def stop() -> bool:
        step = next(steps)
        with shared.get_lock():
            shared[FARTHEST] = max(shared[FARTHEST], step)
            return step >= shared[LAST]

    refused = reasons.append if may_fail_to_compile else None
    try:
        for state in run(ensemble, begun, checkpoints, stop, refused):
            pipe.send_bytes(pickle.dumps((state, reasons.pop() if reasons else None, None)))
        last = (None, None, None)
    except Exception as failure:  # raised again in the parent
        last = (None, None, failure)
    pipe.send_bytes(pickle.dumps(last))


def _end_with_parent() -> None:
    parent_process().join()
    os._exit(0)
