"""Blocks on dask: on processes of this machine, or on any cluster whose scheduler has an address.

Each block is one task. A worker computes it and writes it into the store. If the worker is lost, dask gives the block
to another one. The study travels once to each worker, as a plugin; workers that join later receive it, too.
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
from experiments.lab.planning import Execute, Task
from experiments.lab.store import ROUNDING
from experiments.provenance import versions
from simulator.signals import block_signals

IN_FLIGHT = 2_000  # tasks that the scheduler holds at once: several per worker
PATIENCE = 10  # seconds to wait for an answer of the scheduler


class Carried(WorkerPlugin):
    """The task of a run, sent once to each worker rather than with each block."""

    def __init__(self, task: Task):
        self.task, self.versions = task, {name: versions()[name] for name in ROUNDING}

    def setup(self, worker: Worker) -> None:
        """Refuse a worker whose versions may round differently."""
        for name, own in versions().items():
            if own != self.versions.get(name, own):
                raise RequestError(
                    f"the worker {worker.address} has {name} {own} and this process {self.versions[name]}, which may "
                    "round differently; start workers with the versions of this process"
                )


def _work(block: int, carried: str) -> object:
    return get_worker().plugins[carried].task(block)


@contextmanager
def on_dask(workers: int | None, scheduler: str | None, report: Callable[[str], None]) -> Iterator[Execute]:
    """The executor of a dask cluster, started here or reached at an address."""
    with ExitStack() as stack:
        # Our own sentences replace dask's log, see _execute.
        for logger in ("distributed", "distributed.client"):
            stack.enter_context(silence_logging_cmgr(logging.CRITICAL, logger))
        with block_signals():  # Ctrl-C waits until the cluster exists and will be closed
            address = scheduler if workers is None else stack.enter_context(_local(workers))
        client = stack.enter_context(_client(address))
        if not client.scheduler_info(n_workers=-1)["workers"]:
            report(f"the blocks wait for a worker; start one by: dask worker {address}")
        yield partial(_execute, client)


def _local(workers: int) -> LocalCluster:
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=None,  # blocks leave nothing in a worker that dask could spill
        dashboard_address=":0",  # any free port, since another run may use the default one
        silence_logs=logging.CRITICAL,  # the block of a dead worker is computed again, without a message
    )


def _client(address: "str | LocalCluster") -> Client:
    try:
        return Client(address, timeout=PATIENCE)
    except ValueError as error:
        raise RequestError(
            f"scheduler = {address!r} is not an address ({error}); tcp://127.0.0.1:8786 is one"
        ) from None
    except OSError as error:
        raise RunError(f"the scheduler {address!r} does not answer ({error})") from None


def _execute(client: Client, task: Task, blocks: Sequence[int]) -> Iterator[object]:
    """Results in order of completion, with at most IN_FLIGHT tasks at the scheduler."""
    name, waiting = f"block-{token_hex(6)}", iter(blocks)  # so that two runs on one cluster share no task

    def more(count: int) -> list:
        some = list(islice(waiting, count))
        keys = [f"{name}-{block}" for block in some]
        return client.map(_work, some, carried=name, key=keys, pure=False) if some else []

    try:
        _hand_out(client, task, name)
        running = as_completed(more(IN_FLIGHT))
        for finished in running.batches():
            results = client.gather(finished)
            finished.clear()  # the scheduler forgets them
            running.update(more(len(results)))
            yield from results
    except KilledWorker as error:
        raise RunError(
            f"every worker that began one block died, last {error.last_worker.address}; the block may need more memory"
        ) from None
    except CancelledError:
        raise RunError("the scheduler was lost") from None
    finally:
        if client.status == "running":  # not if the scheduler was lost
            # A scheduler or worker may be lost, or started again without the plugin.
            with suppress(OSError, KeyError, ValueError):
                client.unregister_worker_plugin(name)


def _hand_out(client: Client, task: Task, name: str) -> None:
    try:
        client.register_plugin(Carried(task), name=name)
    except Exception as error:  # the scheduler passes on only the repr of a worker's error
        if str(error).startswith(("ModuleNotFoundError(", "ImportError(")):
            raise RequestError(f"a worker cannot import what this process can ({error}); install it there") from None
        raise
