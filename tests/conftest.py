"""Settings of the whole suite: one Hypothesis profile, one torch thread unless a test asks for more."""

import os

# Workers share the cores, so each computes on one thread; before numpy, whose BLAS reads it once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib
import pytest
import torch
from hypothesis import settings

matplotlib.use("agg")

# No deadline: machines are noisy. Examples are drawn from the test's own name, so a run repeats on any machine.
settings.register_profile("soberclip", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("soberclip")


@pytest.fixture(autouse=True)
def one_thread():
    """Bit equality needs one thread, and many small products run fastest on one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
