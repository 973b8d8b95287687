"""Blocks in other processes: the same bits as in this process, on loky and on a dask cluster, also
if a worker dies.
"""

import gc
import os
import signal
import socket
from functools import partial
from importlib import import_module

import pytest

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")

from experiments.errors import Interrupted, RequestError, RunError
from experiments.lab import run as running
from experiments.lab.run import mapping
from experiments.lab.studies import study
from experiments.provenance import rounding

TRAINED = study(
    axes={"p_spu": [0.6, 0.9]},
    learners=["infonce"],
    routes=["trained"],
    recipe={"steps": 20},
    replicates=9,
)
pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture(scope="module")
def cluster():
    """A dask cluster of one process, as another program would start it; a block is tried again
    once.
    """
    how = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 90}
    # each further worker imports for seconds
    once = dask.config.set({"distributed.scheduler.allowed-failures": 1})
    with once, distributed.LocalCluster(**how) as started:
        yield started


@pytest.fixture(scope="module")
def on_dask(cluster):
    with mapping(scheduler=cluster.scheduler_address) as mapped:
        yield mapped


@pytest.fixture(scope="module")
def on_two():
    with mapping(workers=2) as mapped:
        yield mapped


@pytest.fixture(params=["on_two", "on_dask"])
def elsewhere(request):
    return request.getfixturevalue(request.param)


def interrupting(mapped, task, parts):
    """A map that is interrupted after one block."""
    for done in mapped(task, parts):
        yield done
        raise KeyboardInterrupt


def test_other_processes_give_the_bits_of_this_one(
    elsewhere, tmp_path, exact, undisturbed, same, resumed
):
    """Also after an interruption."""
    where = tmp_path / "a.zarr"
    with pytest.raises(Interrupted, match=rf"interrupted; 1 of 12 blocks are in {where}"):
        resumed(exact, where, mapped=partial(interrupting, elsewhere))
    same(resumed(exact, where, mapped=elsewhere), undisturbed)


@pytest.mark.deep
def test_two_processes_train_the_towers_of_one(elsewhere, tmp_path, same, resumed):
    same(resumed(TRAINED, tmp_path / "a.zarr", mapped=elsewhere), TRAINED.run())


def test_a_file_url_and_a_relative_path_are_the_same_store(
    tmp_path, monkeypatch, exact, undisturbed, same, resumed
):
    monkeypatch.chdir(tmp_path)
    resumed(exact, "a.zarr")
    said = []
    same(resumed(exact, f"file://{tmp_path}/a.zarr", report=said.append), undisturbed)
    assert said == [f"12 of 12 blocks are in {tmp_path}/a.zarr already"]


def pressed():
    """Blocks of work whose first one comes with Ctrl-C."""
    signal.raise_signal(signal.SIGINT)
    yield from range(5)


@pytest.mark.filterwarnings("error")
def test_ctrl_c_while_workers_start_says_nothing_of_theirs(on_two, capfd):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the one who started us has
    with pytest.raises(KeyboardInterrupt):
        list(on_two(abs, pressed()))
    gc.collect()  # results that nobody closed would warn here
    assert capfd.readouterr().err == ""


@pytest.mark.deep
def test_a_block_outlives_its_worker_on_dask(
    cluster, on_dask, tmp_path, exact, undisturbed, same, resumed
):
    """A process is killed while it holds a block."""
    victim = next(iter(cluster.workers.values()))

    def mapped(task, parts):
        for done, one in enumerate(on_dask(task, parts)):
            if done == 0:
                os.kill(victim["pid"] if isinstance(victim, dict) else victim.pid, signal.SIGKILL)
            yield one

    same(resumed(exact, tmp_path / "a.zarr", mapped=mapped), undisturbed)


@pytest.mark.parametrize("where", ["on_two", pytest.param("on_dask", marks=pytest.mark.deep)])
def test_a_block_that_kills_its_worker_gets_one_sentence(cluster, where):
    given = {"workers": 2} if where == "on_two" else {"scheduler": cluster.scheduler_address}
    with (
        mapping(**given) as mapped,
        pytest.raises(RunError, match=r"a worker died.*; its block may need more memory"),
    ):
        list(mapped(signal.raise_signal, [signal.SIGKILL] * 2))  # a task that imports nothing


class Foreign:
    """A task whose module is installed here alone."""

    def __call__(self, number):
        return number

    def __reduce__(self):
        return (import_module, ("not_installed_there",))


def test_an_import_error_of_a_worker_names_the_module(on_dask):
    with pytest.raises(
        RequestError, match=r"a worker cannot import what this process can .*not_installed_there"
    ):
        list(on_dask(Foreign(), range(3)))
    assert sorted(on_dask(abs, range(3))) == [0, 1, 2]


def test_workers_of_other_versions_are_refused(on_dask, monkeypatch):
    monkeypatch.setattr(running, "rounding", lambda: dict.fromkeys(rounding(), "0.1"))
    with pytest.raises(
        RequestError,
        match=r"on the worker .*: this study was begun with \w+ 0\.1, but .* may round",
    ):
        list(on_dask(abs, range(3)))


@pytest.mark.deep
def test_finished_blocks_survive_the_loss_of_the_scheduler(
    tmp_path, exact, undisturbed, same, resumed
):
    where = tmp_path / "a.zarr"
    served = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=90
    )

    def mapped(task, parts):
        with mapping(scheduler=served.scheduler_address) as met:
            for one in met(task, parts):
                yield one
                served.close()

    with pytest.raises(RunError, match=rf"the scheduler was lost; \d+ of 12 blocks are in {where}"):
        resumed(exact, where, mapped=mapped)
    same(exact.run(where), undisturbed)


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(running, "PATIENCE", 0.1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with (
        pytest.raises(RunError, match=rf"the scheduler '{nobody}' does not answer"),
        mapping(scheduler=nobody),
    ):
        pass
    with pytest.raises(RequestError, match="scheduler = 'nonsense'"), mapping(scheduler="nonsense"):
        pass
