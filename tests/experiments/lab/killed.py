"""Runs of a study that are killed, signalled, doubled or short of disk; for test_store.py.

    python killed.py FOLDER '[["store.zarr", "kill", {"count": 3, "seed": 0, "longest": 0.2}], ...]'

The study is FOLDER/study.toml. Its runs are children, forked before zarr starts its thread, so that only one process
has to import everything. Prints {store: exit statuses}; children write to FOLDER/STORE.said.
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
from experiments.lab import planning
from experiments.lab import store as stores
from experiments.lab.execution import run
from experiments.lab.planning import plan
from experiments.lab.studies import read

sys.dont_write_bytecode = True  # a file that may be no larger than so many bytes would be a damaged module ever after
FOLDER = Path(sys.argv[1])
planning.MOST = 2  # cells of a block, so that a small study has many
STUDY = read((FOLDER / "study.toml").read_text())
PLAN = plan(STUDY)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it


def child(store: str, work) -> int:
    """Process id of a fork that does some work and exits with what it returns."""
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
    """Work for a child; all blocks where no count is given."""
    return lambda: run(STUDY, FOLDER / store, planned=PLAN, execute=lambda t, b: map(t, islice(b, count))) and 0


def command(store: str) -> int:
    return main(["sweep", str(FOLDER / "study.toml"), "--output", str(FOLDER / store)])


def kill(store: str, count: int, seed: int, longest: float) -> list[int]:
    """SIGKILL after up to so many seconds, again and again."""
    rng, found = random.Random(seed), []
    for _ in range(count):
        pid = child(store, first_blocks(store))
        time.sleep(rng.uniform(0, longest))
        os.kill(pid, signal.SIGKILL)
        found.append(status(pid))
    return found


def full(store: str, blocks: int, size: int) -> list[int]:
    """Some blocks, then the command line where no file can be larger than so many bytes."""

    def limited() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return command(store)

    return [status(child(store, first_blocks(store, blocks))), status(child(store, limited))]


def end(store: str, by: str) -> list[int]:
    """The command line, which gets a signal when its first block is written, however the machine deals out its time."""

    def signalled() -> int:
        write = stores.write

        def written(*block) -> None:
            stores.write = write
            write(*block)
            os.kill(os.getpid(), getattr(signal, by))

        stores.write = written
        return command(store)

    return [status(child(store, signalled))]


if __name__ == "__main__":
    print(json.dumps({store: globals()[what](store, **how) for store, what, how in json.loads(sys.argv[2])}))
