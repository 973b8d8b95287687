"""Settings of the whole suite: Hypothesis profiles, one torch thread unless a test asks for more."""

import functools
import inspect
import os

# Workers share the cores, so each computes on one thread; before numpy, whose BLAS reads it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib
import pytest
import torch
from hypothesis import settings
from shapecheck import unchecked

from experiments.runtime import keep_memory

matplotlib.use("agg")
keep_memory()  # as the command line does

# No deadline: machines are noisy. The suite and CI draw examples from each test's own name, so that a run repeats.
# A search by hand draws many random ones: `-m "hypothesis and not deep" --hypothesis-profile=search`.
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("thorough", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("search", deadline=None, max_examples=500, print_blob=True)
settings.load_profile("suite")


@pytest.fixture
def poison(monkeypatch):
    """A function after whose call model 1 meets a batch that is not a number in step 4."""
    from simulator.towers import training  # not above: the shape checker is installed after this file is read

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
    """The shape checker is off while a compiled call lasts.

    The hook of jaxtyping and beartype wraps every annotated function; under torch.compile such wrappers fail on right
    shapes, or make it fall back in silence.
    """
    plain = torch.compile

    def compile_unchecked(function, **options):
        # Unwrapped, or all that the hook wraps would count as one function, and as recompiled too often.
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
    """Bit equality needs one thread, and many small products run fastest on one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


_shares: list[float] = []  # of the false-alarm budget, spent by processes that have ended


def pytest_sessionfinish(session):
    """Hand this process's spending to the one that started it; there, fail if all of them together overdrew."""
    import stattest

    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["shares"] = stattest.spent()
        return
    sentence = stattest.overdrawn(_shares + stattest.spent())
    if sentence:
        print(f"\n{sentence}")
        session.exitstatus = 1


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node):
    """A process has ended: what it spent."""
    _shares.extend(getattr(node, "workeroutput", {}).get("shares", []))
