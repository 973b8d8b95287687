"""Training of an ensemble here, or shared among processes, each with its own models, which share nothing.

A step of a small ensemble is a hundred short products. Two threads that wait for each other after every product gain a
factor of 1.2 to 1.5, two processes nearly two. Processes are spawned, so a script that uses them starts under
`if __name__ == "__main__":` and registers its own samplers and objectives outside of it, where the processes find them.

States are those of one process bit by bit, except after compilation: steps of fewer models may round differently.
"""

import os
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from signal import SIGINT, SIGTERM
from traceback import format_exc
from typing import NamedTuple

import torch

from simulator.signals import block_signals
from simulator.towers.ensemble import Ensemble, step_products
from simulator.towers.step import State
from simulator.towers.training import Refused, Stop, run

POLL_SECONDS = 0.2  # between two calls of `stop`
# Multiply-adds of a run for which other processes pay: a shorter run takes about ten seconds, of which they would spend
# three on importing torch and a few on waiting for the compiler.
WORTH_SHARING = 2**35
# Multiply-adds of a step for which a second thread pays. For fewer, threads that wait for each other take longer than
# the work, and ten times longer beside a busy process (8 models, width 32, batch 128: 12 s on one thread, over 100 s on
# two).
SHARED_WORK = 2**27
KILLED = -9  # exit status after the kernel's kill, as when memory is short
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
        found = _gathered(_parts(processes, ensemble, state, checkpoints), state, stop, refused or _must_compile)
    for state in found:
        if bool((state.diverged >= 0).all()):
            raise EveryModelDiverged(
                f"every one of {len(ensemble.models)} models lost its finite loss, the last at step "
                f"{int(state.diverged.max())}; a smaller lr than {ensemble.recipe.lr} is the first thing to try"
            )
        yield state


def _must_compile(reason: str) -> None:
    raise RuntimeError(f"torch.compile failed: {reason}")


class _Part(NamedTuple):
    """What one process trains."""

    ensemble: Ensemble
    state: State
    checkpoints: list[int]
    threads: int


def _parts(processes: int, ensemble: Ensemble, state: State, checkpoints: Sequence[int]) -> list[_Part]:
    """Consecutive models for each process."""
    E, found = len(ensemble.models), []
    for k in range(processes):
        rows = slice(E * k // processes, E * (k + 1) // processes)
        own = ensemble._replace(worlds=ensemble.worlds[rows], models=ensemble.models[rows])
        threads = max(1, torch.get_num_threads() // processes) if step_products(own) >= SHARED_WORK else 1
        # Cloned: pickle would send the whole tensor behind a view.
        found.append(_Part(own, _tensorwise(lambda x: x[rows].clone(), state), list(checkpoints), threads))  # noqa: B023
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


def _gathered(parts: Sequence[_Part], state: State, stop: Stop, refused: Refused) -> Iterator[State]:
    """States of the whole ensemble, joined as those of its parts arrive."""
    context, latest, steps = get_context("spawn"), int(state.step), parts[0].ensemble.recipe.steps
    shared = context.Array("q", [latest, steps])
    stopping = compiler_failed = False
    with _started(context, parts, shared) as workers:
        found = {pipe: deque[State]() for pipe in workers}
        while latest < shared[LAST]:
            if not stopping and stop():
                stopping = True
                with shared.get_lock():  # no process is beyond the step after the farthest
                    shared[LAST] = min(shared[FARTHEST] + 1, steps)
            for pipe in wait(workers, POLL_SECONDS):
                message = _received(pipe, workers[pipe])
                if isinstance(message, State):
                    found[pipe].append(message)
                elif isinstance(message, Exception):
                    raise message
                elif not compiler_failed:  # reported once for all processes
                    compiler_failed = True
                    refused(message)
            while all(found.values()):
                whole = _tensorwise(lambda *x: torch.cat(x), *(found[pipe].popleft() for pipe in workers))
                latest = int(whole.step)
                yield whole


@contextmanager
def _started(context, parts: Sequence[_Part], shared) -> Iterator[dict[Connection, BaseProcess]]:
    """The processes by their pipes; all of them have ended when the block ends.

    Ctrl-C and SIGTERM, which may reach all processes, are blocked in them: this process stops them.
    """
    workers: dict[Connection, BaseProcess] = {}
    try:
        for _ in parts:
            ours, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(theirs, shared), daemon=True)
            with block_signals(SIGINT, SIGTERM):
                worker.start()
            theirs.close()  # so that the end of the process ends the pipe
            workers[ours] = worker
        for (pipe, worker), part in zip(workers.items(), parts, strict=True):
            try:
                _send(pipe, part)  # not by `args`: a process that ends before it reads them would leave us waiting
            except ConnectionError:
                raise _ended(worker) from None
        yield workers
    finally:
        for pipe, worker in workers.items():
            pipe.close()
            worker.kill()
            worker.join()


def _send(pipe: Connection, message: _Part | State | str | Exception) -> None:
    """Plain pickle: multiprocessing's own would put tensors into shared memory, which must be kept alive."""
    pipe.send_bytes(pickle.dumps(message))


def _received(pipe: Connection, worker: BaseProcess) -> State | str | Exception:
    """A state, the reason why compilation failed, or the error that ended the training."""
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


def _work(pipe: Connection, shared) -> None:
    """Train the models of one process and send their states, until the process that started this one ends it."""
    part: _Part = pickle.loads(pipe.recv_bytes())
    torch.set_num_threads(part.threads)
    steps, parent = count(int(part.state.step) + 1), os.getppid()

    def stop() -> bool:
        step = next(steps)
        with shared.get_lock():
            shared[FARTHEST] = max(shared[FARTHEST], step)
            return step >= shared[LAST] or os.getppid() != parent  # the parent has ended

    with suppress(ConnectionError, EOFError):  # the parent has ended
        try:
            for state in run(part.ensemble, part.state, part.checkpoints, stop, lambda reason: _send(pipe, reason)):
                _send(pipe, state)
        except Exception as error:  # raised again by the parent
            error.add_note(format_exc())
            _send(pipe, error)
        pipe.recv_bytes()
