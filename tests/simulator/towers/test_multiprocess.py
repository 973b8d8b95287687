"""An ensemble in several processes equals one in a single process, however training ends."""

import os
import signal
import subprocess
import sys
from multiprocessing import active_children, get_context
from pathlib import Path
from time import sleep

import pytest
import torch
from torch.utils._pytree import tree_flatten

from simulator import Recipe, World
from simulator.towers import multiprocess
from simulator.towers.ensemble import Ensemble
from simulator.towers.multiprocess import ProcessEnded, processes_for, run_in
from simulator.towers.training import run, start

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=2, dim_text=2)
SMALL = Recipe(width=6, depth=1, embed_dim=4, batch_size=16, steps=60, warmup=2)
FIVE = Ensemble(SMALL, (WORLD,) * 5, tuple(range(5)), 4)
ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
ENDLESS = FIVE._replace(recipe=SMALL.model_copy(update={"steps": 10**9}))


@pytest.fixture
def from_a_server(monkeypatch):
    """Processes are forked from one that has imported torch, since imports take longer than these
    tests.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload([multiprocess.__name__])
    monkeypatch.setattr(multiprocess, "get_context", lambda kind: context)


def equal(a, b) -> bool:
    """Whether two states are the same, bit by bit."""
    ours, structure = tree_flatten(a)
    theirs, other = tree_flatten(b)
    return structure == other and all(map(torch.equal, ours, theirs))


def test_states_are_those_of_one_process(from_a_server):
    begun = start(FIVE)
    begun.diverged[:2] = 0  # all models of one process; it continues
    shared, alone = (list(way(FIVE, begun, [20, 50])) for way in (lambda *a: run_in(2, *a), run))
    assert [int(state.step) for state in shared] == [20, 50, 60]
    assert all(equal(a, b) for a, b in zip(shared, alone, strict=True))
    assert active_children() == []


def test_all_stop_at_one_step_and_go_on_from_there(from_a_server):
    flags = iter([False] * 3 + [True] * 10**6)
    *_, stopped = run_in(2, ENDLESS, start(ENDLESS), [1], lambda: next(flags))
    alone = run(ENDLESS, start(ENDLESS), [1, int(stopped.step)])
    assert equal(stopped, next(state for state in alone if state.step == stopped.step))
    assert active_children() == []


def test_a_process_that_is_gone_is_an_error(from_a_server):
    def kill() -> bool:
        active_children()[0].kill()
        return False

    with pytest.raises(ProcessEnded, match="has ended"):
        list(run_in(2, ENDLESS, start(ENDLESS), [], kill))
    assert active_children() == []


def test_a_failure_is_raised_here(from_a_server):
    missing = FIVE._replace(
        worlds=(*FIVE.worlds[:3], *(WORLD.model_copy(update={"dim_image": 3}),) * 2)
    )
    with pytest.raises(ValueError, match=r"dim_image = 3 .* 2"):
        list(run_in(2, missing, start(FIVE), []))


def test_as_many_as_there_are_threads_and_models_where_a_run_is_long():
    assert processes_for(ENDLESS) == 1  # the suite has one thread
    torch.set_num_threads(3)
    assert processes_for(ENDLESS) == 3
    assert processes_for(FIVE) == processes_for(ENDLESS._replace(device="cuda")) == 1
    assert processes_for(ENDLESS._replace(worlds=(WORLD,) * 2, models=(0, 1))) == 2
    with pytest.raises(ValueError, match="device = 'cuda'"):
        multiprocess.check_processes(2, FIVE._replace(device="cuda"))


@pytest.mark.deep
def test_a_script_without_a_guard_is_refused(tmp_path):
    """Its processes end before they read their message of 2 MB, and the full pipe does not
    block.
    """
    script = tmp_path / "script.py"
    text = (
        "from simulator import Recipe, World, train\ntrain(World(), Recipe(steps=9), models=8,"
        " processes=2)"
    )
    script.write_text(text)
    options = {
        "capture_output": True,
        "text": True,
        "timeout": 120,
        "cwd": ROOT,
        "env": ENVIRONMENT,
    }
    run = subprocess.run([sys.executable, script], check=False, **options)
    assert run.returncode == 1
    assert "if __name__ ==" in run.stderr


@pytest.mark.deep
@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGINT, 0.3), (signal.SIGTERM, 6.0)])
def test_signals_that_come_to_all_processes_stop_and_save(tmp_path, number, seconds):
    """A terminal's Ctrl-C and a scheduler's SIGTERM, while processes start and while they train."""
    command = [
        "-m",
        "experiments",
        "train",
        "--steps",
        "1000000",
        "--ensemble",
        "4",
        "--no-compile",
        "--output",
        "run",
    ]
    run = subprocess.Popen(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**ENVIRONMENT, "OMP_NUM_THREADS": "2"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    # signal handlers are installed by then
    while run.poll() is None and not (tmp_path / "run").exists():
        sleep(0.05)
    sleep(seconds)
    os.killpg(run.pid, number)
    _, said = run.communicate(timeout=120)  # ends when no process holds stderr open
    assert (run.returncode, "resume with --resume run" in said) == (130, True), said
