"""Blocks on dask: the same bits as in this process, also if a worker dies, and few tasks at once."""

import os
import signal
import socket
from importlib import import_module
from itertools import islice

import pytest

pytest.importorskip("distributed")

from distributed import default_client

from experiments.command.main import main
from experiments.errors import Interrupted, RequestError, RunError
from experiments.lab import cluster, execution
from experiments.lab.execution import executor, run
from experiments.lab.store import read
from experiments.lab.studies import study

TRAINED = study(
    axes={"p_spu": [0.6, 0.9]}, learners=["infonce"], routes=["trained"], recipe={"steps": 20}, replicates=9
)
pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture(scope="module")
def on_two():
    """An executor with two processes."""
    with executor(workers=2) as execute:
        yield execute


def processes():
    return default_client().run(os.getpid)


def test_two_processes_give_the_bits_of_one(on_two, exact, undisturbed, same):
    same(run(exact, execute=on_two), undisturbed)  # tests with a store: below


@pytest.mark.deep
def test_two_processes_train_the_towers_of_one(on_two, tmp_path, same):
    same(run(TRAINED, tmp_path / "a.zarr", execute=on_two), TRAINED.run())


def test_a_file_url_and_a_relative_path_are_the_same_store(on_two, tmp_path, monkeypatch, exact, undisturbed, same):
    monkeypatch.chdir(tmp_path)  # workers do not change their folder
    run(exact, "a.zarr", execute=on_two)
    said = []
    same(run(exact, f"file://{tmp_path}/a.zarr", execute=on_two, report=said.append), undisturbed)
    assert said == [f"12 of 12 blocks are in {tmp_path}/a.zarr already"]


def test_a_block_outlives_its_worker(on_two, tmp_path, exact, undisturbed, same):
    """Both processes are killed while they hold blocks."""
    victims = iter(processes().values())

    def execute(task, numbers):
        for done, number in enumerate(on_two(task, numbers)):
            if done in (0, 4):
                os.kill(next(victims), signal.SIGKILL)
            yield number

    before = set(processes().values())
    same(run(exact, tmp_path / "a.zarr", execute=execute), undisturbed)
    assert not before & set(processes().values())


def test_an_interrupted_run_resumes_with_or_without_workers(on_two, tmp_path, exact, undisturbed, same):
    where = tmp_path / "a.zarr"

    def execute(task, numbers):
        for done in on_two(task, numbers):
            yield done
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=rf"interrupted; \d+ of 12 blocks are in {where}, and the same command"):
        run(exact, where, execute=execute)
    same(exact.run(where), undisturbed)

    def alone(task, numbers):
        yield from map(task, islice(numbers, 3))
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(exact, tmp_path / "b.zarr", execute=alone)
    same(run(exact, tmp_path / "b.zarr", execute=on_two), undisturbed)


def test_few_tasks_wait_at_once(on_two, monkeypatch):
    """Tasks are created only shortly before they run."""
    monkeypatch.setattr(cluster, "IN_FLIGHT", 4)

    def tasks():
        return default_client().run_on_scheduler(lambda dask_scheduler: set(dask_scheduler.tasks))

    others = tasks()  # tasks of the earlier test, not yet released
    most, results = 0, on_two(lambda number: number, range(10**9))
    for _ in range(40):
        next(results)
        most = max(most, len(tasks() - others))
    results.close()
    assert 0 < most <= 2 * cluster.IN_FLIGHT  # finished tasks may not be released yet


def test_an_import_error_of_a_worker_names_the_module(on_two):
    class Foreign:
        def __call__(self, number):
            return number

        def __reduce__(self):
            return (import_module, ("not_installed_there",))

    with pytest.raises(RequestError, match=r"a worker cannot import what this process can .*not_installed_there"):
        list(on_two(Foreign(), range(3)))
    assert sorted(on_two(abs, range(3))) == [0, 1, 2]


@pytest.mark.deep
def test_a_block_that_kills_every_worker_gets_one_sentence():
    import dask

    def deadly(number):
        os.kill(os.getpid(), signal.SIGKILL)

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        executor(workers=2) as execute,
        pytest.raises(RunError, match=r"every worker .* died, last tcp://.*; the block may need more"),
    ):
        list(execute(deadly, range(2)))


@pytest.mark.deep
def test_finished_blocks_survive_the_loss_of_the_scheduler(tmp_path, exact, undisturbed, same):
    where = tmp_path / "a.zarr"
    served = cluster._local(1)

    def execute(task, numbers):
        with executor(scheduler=served.scheduler_address) as met:
            for number in met(task, numbers):
                yield number
                served.close()

    with pytest.raises(RunError, match=rf"the scheduler was lost; \d+ of 12 blocks are in {where}"):
        run(exact, where, execute=execute)
    same(exact.run(where), undisturbed)


def test_a_cluster_is_found_at_its_address(on_two, tmp_path, exact, undisturbed, same):
    with executor(scheduler=default_client().scheduler.address) as execute:
        same(run(exact, tmp_path / "a.zarr", execute=execute), undisturbed)
    carried = default_client().run(lambda dask_worker: [name for name in dask_worker.plugins if "block" in name])
    assert list(carried.values()) == [[], []]  # nothing of ours stays


def test_workers_of_other_versions_are_refused(on_two, monkeypatch):
    monkeypatch.setattr(cluster, "versions", lambda: {**dict.fromkeys(cluster.ROUNDING, "1"), "numpy": "0.1"})
    with pytest.raises(RequestError, match=r"the worker tcp://.* has \w+ .* and this process .*, which may round"):
        list(on_two(abs, range(3)))


def test_a_store_in_the_memory_of_one_process_is_refused(on_two):
    with pytest.raises(RequestError, match=r"'memory://x.zarr' cannot be found from .*where every worker can reach it"):
        run(TRAINED, "memory://x.zarr", execute=on_two)


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RunError, match=rf"the scheduler '{nobody}' does not answer"), executor(scheduler=nobody):
        pass
    with pytest.raises(RequestError, match="scheduler = 'nonsense'"), executor(scheduler="nonsense"):
        pass


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"workers": 0}, "workers = 0 .* nearest valid value is 1$"),
        ({"workers": 2, "scheduler": "tcp://a:1"}, "workers = 2 and scheduler = 'tcp://a:1'"),
    ],
)
def test_bad_requests_get_one_sentence_before_anything_starts(given, sentence):
    with pytest.raises(RequestError, match=sentence):
        TRAINED.run(**given)


def test_without_dask_this_process_computes(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(execution, "find_spec", lambda name: None)
    where = tmp_path / "a.zarr"
    assert main(["sweep", "--axis", "p_spu=.5:1:3", "-o", str(where), "--workers", "2"]) == 0
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "dask" in line]
    assert "'.[cluster]'" in said
    assert read(where).counter.notnull().all()
