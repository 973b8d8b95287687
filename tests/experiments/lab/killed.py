"""Runs of a study that are killed, signalled or out of disk space; for test_store.py.

    python killed.py FOLDER '[["store.zarr", "kill", {"count": 3, "seed": 0, "longest": 0.2}], ...]'

The study is FOLDER/study.toml. Runs are forked before zarr starts its thread, so that only one process imports
everything. Prints {store: exit statuses}; children write to FOLDER/STORE.said.
"""

import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from itertools import islice
from pathlib import Path

import zarr  # noqa: F401  (imported once, for all children)

from experiments.command.main import main
from experiments.lab import plan as planning
from experiments.lab import store as stores
from experiments.lab.plan import plan
from experiments.lab.run import run
from experiments.lab.studies import read

sys.dont_write_bytecode = True  # the limit on file sizes would truncate .pyc files
FOLDER = Path(sys.argv[1])
planning.MOST = 2  # cells per block, so that a small study has many blocks
STUDY = read((FOLDER / "study.toml").read_text())
PLAN = plan(STUDY)
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore SIGINT


def child(store: str, work) -> int:
    """Process id of a fork that runs `work` and exits with its return value."""
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            os.dup2(os.open(FOLDER / f"{store}.said", os.O_CREAT | os.O_WRONLY | os.O_APPEND), 2)
            status = work() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def first_blocks(store: str, count: int | None = None):
    """Work for a child: the first `count` blocks, or all."""
    return lambda: run(PLAN, stores.begin(FOLDER / store, PLAN), mapped=lambda t, b: map(t, islice(b, count))) and 0


def command(store: str) -> int:
    return main(["sweep", str(FOLDER / "study.toml"), "--output", str(FOLDER / store)])


def kill(store: str, count: int, seed: int, longest: float) -> list[int]:
    """Exit statuses of `count` runs that get SIGKILL within `longest` seconds."""
    rng, found = random.Random(seed), []
    for _ in range(count):
        pid = child(store, first_blocks(store))
        time.sleep(rng.uniform(0, longest))
        os.kill(pid, signal.SIGKILL)
        found.append(status(pid))
    return found


def full(store: str, blocks: int, size: int) -> list[int]:
    """Exit statuses of a run of some blocks, then of the command line with files limited to `size` bytes."""

    def limited() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return command(store)

    return [status(child(store, first_blocks(store, blocks))), status(child(store, limited))]


def end(store: str, by: str) -> list[int]:
    """Exit status of the command line, which gets a signal after its first block is written."""

    def signalled() -> int:
        write = stores.Store.write

        def written(*block) -> None:
            stores.Store.write = write
            write(*block)
            os.kill(os.getpid(), getattr(signal, by))

        stores.Store.write = written
        return command(store)

    return [status(child(store, signalled))]


if __name__ == "__main__":
    print(json.dumps({store: globals()[what](store, **how) for store, what, how in json.loads(sys.argv[2])}))
