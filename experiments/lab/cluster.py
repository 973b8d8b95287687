"""Blocks on dask: on processes of this machine, or on any cluster whose scheduler has an address.

A block is a task. dask hands it to a worker, and to another one if that is lost; the worker computes it and writes it
into the store by itself, and its number alone comes back. The study travels once to each worker, as a plugin, also to
those that come later. A study on "cuda" asks for workers that were started with `--resources GPU=1`.

What 1e9 cells cost, on paper
-----------------------------
Closed forms (5e-5 s a cell, 2^16 cells a block): 15,259 tasks of 3.3 s, 14 hours of one core; 5 variables, so 76,000
objects of up to 512 KiB, 36 GB before compression. Exact laws of 1024 replicates (1.5 ms a cell, 5 s a block): 3e5
tasks, 17 days of a core, 18 objects each. Trained cells, of a second each, in blocks of MODELS: 6e7 tasks, 30 years of
a core; that many objects want a bucket, or coarser axes.

A scheduler and its client spend c on a task, whatever it computes: 1 to 1.5 ms of one core, measured over 1e5 blocks
that do nothing (on two cores). With W workers and blocks of b seconds they are busy
for the share c W / b, which stays under a tenth where b >= 10 c W: 30 ms for two workers, 1.5 s for a hundred, and
blocks of 5 s, what `experiments.lab.blocks` aims at, for 300. IN_FLIGHT tasks at once are all that they remember, 14 KB
each in the same measurement, be there 1e4 blocks or 1e8.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from secrets import token_hex

from distributed import Client, KilledWorker, LocalCluster, Worker, WorkerPlugin, as_completed, get_worker
from distributed.utils import silence_logging_cmgr

from experiments.errors import RequestError, RunError
from experiments.lab.blocks import Execute, Task
from experiments.lab.store_compat import ROUNDING
from experiments.provenance import versions
from simulator.signals import block_signals

IN_FLIGHT = 2_000  # tasks that the scheduler knows at once: several a worker, for all the workers that it can feed
PATIENCE = 10  # seconds in which a scheduler has to answer


class Carried(WorkerPlugin):
    """The task of a run, on every worker: sent once rather than with every block."""

    def __init__(self, task: Task):
        self.task, self.versions = task, {name: versions()[name] for name in ROUNDING}

    def setup(self, worker: Worker) -> None:
        """Refuse a worker whose numbers may differ in the last bit. Called by dask as a worker joins."""
        for name, own in versions().items():
            if own != self.versions.get(name, own):
                raise RequestError(
                    f"the worker {worker.address} has {name} {own} and this process {self.versions[name]}, which may "
                    "round otherwise; start workers with the versions of this process"
                )


def _work(block: int, carried: str) -> object:
    """What a worker does with the number of a block."""
    return get_worker().plugins[carried].task(block)


@contextmanager
def on_dask(
    workers: int | None, scheduler: str | None, device: str, report: Callable[[str], None]
) -> Iterator[Execute]:
    """The executor of a dask cluster, started here or met at an address; see `experiments.lab.executors.executor`."""
    resources = {"GPU": 1} if device.startswith("cuda") else {}
    with ExitStack() as stack:
        # What is lost is told in a sentence, see _in_a_sentence; a start that is interrupted needs none.
        for logger in ("distributed", "distributed.client"):
            stack.enter_context(silence_logging_cmgr(logging.CRITICAL, logger))
        with block_signals():  # a Ctrl-C that comes meanwhile finds a cluster that will be closed
            address = scheduler if workers is None else stack.enter_context(_local(workers, resources))
        client = stack.enter_context(_client(address))
        able = [worker["resources"].items() >= resources.items() for worker in _workers_of(client)]
        if not any(able):
            with_gpu = " --resources GPU=1" if resources else ""
            report(f"the blocks wait for a worker, such as: dask worker {address}{with_gpu}")
        yield partial(_execute, client, resources)


def _local(workers: int, resources: dict[str, int]) -> LocalCluster:
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        resources=resources,
        memory_limit=None,  # blocks leave nothing in a worker that could be spilled, so dask need not watch it
        dashboard_address=":0",  # any free port: a run beside this one has the usual one
        silence_logs=logging.CRITICAL,  # a worker that died is no news: its block is computed again
    )


def _client(address: "str | LocalCluster") -> Client:
    try:
        return Client(address, timeout=PATIENCE)
    except ValueError as error:
        raise RequestError(f"scheduler = {address!r} is no address ({error}); tcp://127.0.0.1:8786 is one") from None
    except OSError as error:
        raise RunError(f"the scheduler {address!r} does not answer ({error})") from None


def _workers_of(client: Client) -> list[dict]:
    return list(client.scheduler_info(n_workers=-1)["workers"].values())


def _execute(client: Client, resources: dict[str, int], task: Task, blocks: Sequence[int]) -> Iterator[object]:
    """Results as they come, with at most IN_FLIGHT tasks known to the scheduler."""
    name, waiting = f"block-{token_hex(6)}", iter(blocks)  # two runs on one cluster never share a task

    def more(count: int) -> list:
        some = list(islice(waiting, count))
        keys = [f"{name}-{block}" for block in some]
        return client.map(_work, some, carried=name, key=keys, pure=False, resources=resources) if some else []

    with _carrying(client, task, name), _in_a_sentence():
        running = as_completed(more(IN_FLIGHT))
        for finished in running.batches():
            results = client.gather(finished)
            finished.clear()  # so that the scheduler forgets them
            running.update(more(len(results)))
            yield from results


@contextmanager
def _carrying(client: Client, task: Task, name: str) -> Iterator[None]:
    try:
        _hand_out(client, Carried(task), name)
        yield
    finally:
        if client.status == "running":  # no longer so where the scheduler was lost
            # The scheduler, or a worker, that is lost now; a worker without it; a scheduler that was started anew.
            with suppress(OSError, KeyError, ValueError):
                client.unregister_worker_plugin(name)


def _hand_out(client: Client, carried: Carried, name: str) -> None:
    try:
        client.register_plugin(carried, name=name)
    except Exception as error:  # what a worker cannot unpickle: the scheduler passes on no more than the repr
        if str(error).startswith(("ModuleNotFoundError(", "ImportError(")):
            raise RequestError(f"a worker cannot import what this process can ({error}); install it there") from None
        raise


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    """dask's own failures; those of a block come as they are."""
    try:
        yield
    except KilledWorker as error:
        raise RunError(
            f"every worker that began one block died, {error.last_worker.address} the last; it may need more memory"
        ) from None
    except CancelledError:
        raise RunError("the scheduler was lost") from None
