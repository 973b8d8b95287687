"""`python -m experiments.benchmarks.cluster`: what dask costs a block, and what a second worker brings.

The first row is the c of `experiments.lab.cluster`: processor time of this process, which holds the scheduler and its
client, for blocks that do nothing, and wall time beside it. The second compares two workers with one, both warm, on
blocks of cells of 10 ms or more with their store; the third compares one with this process, which keeps no store.
Machines are noisy: read the ratios.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from experiments.lab.blocks import Execute, layout
from experiments.lab.execution import run as run_study
from experiments.lab.executors import executor, here
from experiments.lab.planning import plan
from experiments.lab.studies import Study, study

TASKS = 100_000
REPLICATES = 10_000  # of the exact law: a cell of some 15 ms
BLOCKS = 8  # shared by two workers


def overhead(execute: Execute, tasks: int = TASKS) -> tuple[float, float]:
    """(processor, wall) seconds a block that does nothing."""
    wall, processor = perf_counter(), process_time()
    done = sum(1 for _ in execute(abs, range(tasks)))
    assert done == tasks
    return (process_time() - processor) / tasks, (perf_counter() - wall) / tasks


def cells_of_10_ms(blocks: int = BLOCKS, replicates: int = REPLICATES) -> Study:
    """A study of that many blocks."""

    def asked(count: int) -> Study:
        axes = {"mu_spu": f"0.5:4:{count}"}
        return study(axes=axes, learners=["linear"], routes=["exact"], n=10**9, replicates=replicates)

    return asked(blocks * layout(asked(10_000), False).cells(0))


def run(asked: Study, execute: Execute, folder: Path | None) -> float:
    """Seconds of a run, by workers that have imported everything before."""
    planned = plan(asked)
    list(execute(_imported, range(4)))
    began = perf_counter()
    run_study(asked, folder, planned=planned, execute=execute)
    return perf_counter() - began


def _imported(number: int) -> int:
    study(axes={"mu_spu": [1.0]}, learners=["linear"], routes=["exact"], n=100).run()
    return number


def main(tasks: int = TASKS, blocks: int = BLOCKS) -> None:
    """Print the rows."""
    asked, walls = cells_of_10_ms(blocks), {}
    alone = run(asked, here, None)
    with TemporaryDirectory() as folder:
        for workers in (1, 2):
            with executor(workers=workers) as execute:
                walls[workers] = run(asked, execute, Path(folder) / f"{workers}.zarr")
    with executor(workers=2) as execute:
        processor, wall = overhead(execute, tasks)
    each = alone / asked.shape[0]
    print(f"scheduler and client: {1e3 * processor:.2f} ms of one core a block, {1e3 * wall:.2f} ms by the clock,")
    print(
        f"  over {tasks:,} blocks that do nothing: under a tenth for W workers from {1e4 * processor:.0f} W ms a block"
    )
    print(f"two workers: {walls[1] / walls[2]:.2f} times one, {blocks} blocks of cells of {1e3 * each:.0f} ms")
    print(f"store and scheduler: {100 * (walls[1] / alone - 1):.1f} % of the cells' time")


if __name__ == "__main__":
    main()
