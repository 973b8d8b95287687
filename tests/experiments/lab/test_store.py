"""A study on disk: whatever happens to a run, its store ends as if nothing had."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from experiments.errors import Interrupted, RequestError
from experiments.lab import store
from experiments.lab.blocks import compute
from experiments.lab.execution import run
from experiments.lab.planning import plan
from experiments.lab.schema import LOST
from experiments.lab.studies import study

ROOT = Path(__file__).parents[3]
ASKED = study(axes={"p_spu": "0.5:1:5", "sigma_xi": [0.0, 1.0]}, learners=["infonce", "bayes"])
pytestmark = pytest.mark.usefixtures("small_blocks")


def stopped_after(count):
    """An executor that finishes some blocks and is then interrupted."""

    def execute(task, blocks):
        yield from map(task, islice(blocks, count))
        raise KeyboardInterrupt

    return execute


def befallen(asked, folder, what):
    """The exit statuses that tests/experiments/lab/killed.py finds, by store."""
    (folder / "study.toml").write_text(asked.toml())
    command = [sys.executable, "tests/experiments/lab/killed.py", str(folder), json.dumps(what)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory, exact):
    """(folder of stores, their exit statuses), from one process and its children."""
    folder = tmp_path_factory.mktemp("stores")
    what = [
        ("killed", "kill", {"count": 4, "seed": 0, "longest": 0.12}),
        ("full", "full", {"blocks": 2, "size": 5000}),
        ("SIGINT", "end", {"by": "SIGINT"}),
        ("SIGTERM", "end", {"by": "SIGTERM"}),
    ]
    return folder, befallen(exact, folder, what)


def test_a_store_holds_what_memory_holds_and_is_not_computed_again(tmp_path, same):
    same(ASKED.run(tmp_path / "a.zarr"), ASKED.run())
    assert not list(tmp_path.glob(".*"))
    run(ASKED, tmp_path / "a.zarr", execute=lambda task, numbers: pytest.fail("there is nothing to do"))


@pytest.mark.parametrize("count", [0, 3])
def test_an_interrupted_run_says_what_it_kept_and_goes_on(tmp_path, count, same):
    where = tmp_path / "a.zarr"
    with pytest.raises(Interrupted, match=rf"interrupted; {count} of 5 blocks are in {where}, and the same command"):
        run(ASKED, where, execute=stopped_after(count))
    half = store.read(where)
    assert np.isfinite(half.seconds.values).any() == bool(count)
    said = []
    same(run(ASKED, where, report=said.append), ASKED.run())
    assert said == [f"{count} of 5 blocks are in {where} already"]


def test_a_disk_that_takes_no_more_ends_with_status_1(aftermath, exact, undisturbed, same):
    """A limit on the size of files stands for a full disk: both are errors of the file system amid a chunk."""
    folder, statuses = aftermath
    assert statuses["full"] == [0, 1]
    where, said = folder / "full", (folder / "full.said").read_text()
    assert f"soberclip: {where} could not be written: File too large; 2 of 12 blocks are in {where}" in said
    assert "Traceback" not in said
    same(exact.run(where), undisturbed)


@pytest.mark.parametrize("by", ["SIGINT", "SIGTERM"])
def test_signals_end_the_command_line_with_status_130(aftermath, exact, undisturbed, same, by):
    folder, statuses = aftermath
    assert statuses[by] == [130]
    said = (folder / f"{by}.said").read_text()
    assert "of 12 blocks are in" in said
    assert "Traceback" not in said
    same(exact.run(folder / by), undisturbed)


def test_a_kill_at_any_moment_leaves_a_store_that_goes_on(aftermath, exact, undisturbed, same):
    folder, statuses = aftermath
    assert -9 in statuses["killed"]
    same(exact.run(folder / "killed"), undisturbed)


def test_chunks_are_the_same_bytes_whoever_writes_them(tmp_path):
    """Large enough for Blosc to cut them into parts, which threads of its own would put in any order."""
    many = study(axes={"p_spu": [0.5, 0.9]}, learners=["linear"], routes=["exact"], n=10**9, replicates=50_000)
    planned = plan(many)
    numbers = compute(planned, 0)
    for name, runner in (("here", None), ("there", ThreadPoolExecutor(1))):
        store.begin(tmp_path / name, planned)
        task = partial(store.write, tmp_path / name, planned, 0, numbers)
        task() if runner is None else runner.submit(task).result()
    chunks = [path.relative_to(tmp_path / "here") for path in (tmp_path / "here").glob("*/*.0.*")]
    assert len(chunks) == len(numbers.arrays)
    for chunk in chunks:
        assert (tmp_path / "here" / chunk).read_bytes() == (tmp_path / "there" / chunk).read_bytes()


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "empty"])
def test_a_damaged_chunk_is_named_and_computed_again(tmp_path, harm, same):
    where = tmp_path / "a.zarr"
    ASKED.run(where)
    chunk = where / "counter" / "3.0.0.0"
    content = bytearray(chunk.read_bytes())
    if harm == "remove":
        chunk.unlink()
    else:
        content[len(content) // 2] ^= 1
        chunk.write_bytes({"flip": content, "cut": content[:-1], "empty": b""}[harm])
    said = []
    same(run(ASKED, where, report=said.append), ASKED.run())
    assert said[0] == "counter/3.0.0.0 is damaged, so its block is computed again"
    assert len(said) == 2


def test_a_lost_sentence_is_said_to_be_lost(tmp_path):
    where = tmp_path / "a.zarr"
    ASKED.run(where)
    (reason,) = (where / "reasons").glob("*/zarr.json")
    kept = json.loads(reason.read_text())
    reason.write_text(json.dumps({**kept, "attributes": {}}))
    assert store.read(where).legend.values.tolist() == ["", LOST]
    reason.unlink()
    assert store.read(where).legend.values.tolist() == ["", LOST]


def test_another_study_is_refused_by_its_first_difference(tmp_path):
    where = tmp_path / "a.zarr"
    ASKED.run(where)
    louder = ASKED.world.model_copy(update={"mu_spu": 2.0})
    with pytest.raises(RequestError, match=r"another study \(world.mu_spu is 1.0 there and 2.0 here\)"):
        study(louder, ASKED.axes, ASKED.learners).run(where)
    with pytest.raises(RequestError, match=r"axes is \['p_spu', 'sigma_xi'\] there and \['sigma_xi', 'p_spu'\] here"):
        study(ASKED.world, ASKED.axes[::-1], ASKED.learners).run(where)


def test_another_version_is_refused(tmp_path, monkeypatch):
    where = tmp_path / "a.zarr"
    ASKED.run(where)
    now = store.versions()
    monkeypatch.setattr(store, "versions", lambda: {**now, "numpy": "9.9"})
    with pytest.raises(RequestError, match=rf"numpy {now['numpy']} .* 9.9"):
        ASKED.run(where)
    monkeypatch.setattr(store, "FORMAT", 7)
    for refused in (lambda: ASKED.run(where), lambda: store.read(where)):
        with pytest.raises(RequestError, match=r"has format 3, .* format 7"):
            refused()


def test_paths_that_are_no_store_are_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder, file in (("folder", "thesis.tex"), ("broken", "zarr.json")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text("{")
    for name, words in (("file", "file.zarr"), ("folder", "other files"), ("broken", "is not .*store of a study")):
        with pytest.raises(RequestError, match=words):
            ASKED.run(tmp_path / name)
    with pytest.raises(RequestError, match=r"is not .*store of a study"):
        store.read(tmp_path / "nowhere")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "file", "folder"]


def test_an_unfinished_store_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    where = tmp_path / "a.zarr"
    with pytest.raises(Interrupted):
        run(ASKED, where, execute=stopped_after(2))

    def denied(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(RequestError, match=r"cannot be written \(Permission denied\)"):
        ASKED.run(where)


def test_a_study_beyond_memory_or_disk_is_refused_with_its_size(tmp_path):
    huge = study(axes={"p_spu": "0:1:100000", "mu_spu": "0:4:1000000"})
    with pytest.raises(RequestError, match=r"take 3.6 TB and memory has .* free; a store \(--output\) keeps them"):
        huge.run()
    with pytest.raises(RequestError, match=r"take 3.6 TB and the disk has .* free$"):
        huge.run(tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()


def test_stores_lie_wherever_fsspec_reaches(same):
    where = f"memory://{ASKED.hash}.zarr"
    with pytest.raises(Interrupted, match="4 of 5 blocks"):
        run(ASKED, where, execute=stopped_after(4))
    same(ASKED.run(where), ASKED.run())
    assert store.read(where).counter.notnull().any()
