"""Settings of the whole suite: Hypothesis profiles, and one torch thread by default."""

import functools
import gc
import inspect
import os

# Workers share the cores, so each uses one thread. BLAS reads this when numpy is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib
import pytest
import torch
from hypothesis import settings
from shapecheck import unchecked

from experiments.command.main import prepare_process

matplotlib.use("agg")
prepare_process()  # as the command line does

# No deadline: machines are noisy. Examples are derandomised, so that a run repeats.
# A manual search draws many random examples: `-m "hypothesis and not deep"
# --hypothesis-profile=search`.
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("thorough", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("search", deadline=None, max_examples=500, print_blob=True)
settings.load_profile("suite")


def pytest_collection_finish():
    """Modules and collected tests live to the end, so the garbage collector need not visit them
    again and again.
    """
    gc.freeze()


@pytest.fixture
def poison(monkeypatch):
    """Function: makes the batch of model 1 NaN in step 4."""
    from simulator.towers import (
        training,
    )  # imported here, because the shape checker is installed after this file is read

    draw = training.draw_batches

    def batches(ensemble, first):
        for step, batch in enumerate(draw(ensemble, first), start=first):
            images = batch.images.clone()
            if step == 3:
                images[1] = float("nan")
            yield batch._replace(images=images)

    return lambda: monkeypatch.setattr(training, "draw_batches", batches)


@pytest.fixture(autouse=True, scope="session")
def unchecked_compilation():
    """Switch the shape checker off during compiled calls: its wrappers reject correct shapes, or
    stop compilation.
    """
    plain = torch.compile

    def compile_unchecked(function, **options):
        # Unwrapped: torch would count all wrapped functions as one, which exceeds the recompilation
        # limit.
        fast = plain(inspect.unwrap(function), **options)

        @functools.wraps(function)
        def call(*arguments):
            with unchecked():
                return fast(*arguments)

        return call

    torch.compile = compile_unchecked
    yield
    torch.compile = plain


@pytest.fixture(autouse=True)
def one_thread():
    """One thread: bit equality needs it, and small products run fastest on it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


_shares: list[float] = []  # shares of the false-alarm budget that ended processes spent


def pytest_sessionfinish(session):
    """A worker reports its shares to the main process, which fails if their sum exceeds the
    budget.
    """
    import stattest

    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["shares"] = stattest.spent()
        return
    sentence = stattest.overdrawn(_shares + stattest.spent())
    if sentence:
        print(f"\n{sentence}")
        session.exitstatus = 1


@pytest.hookimpl(optionalhook=True)  # a hook of pytest-xdist
def pytest_testnodedown(node):
    """Add the shares of a worker that has ended."""
    _shares.extend(getattr(node, "workeroutput", {}).get("shares", []))
