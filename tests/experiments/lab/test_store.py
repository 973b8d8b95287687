"""A study on disk: a run that fails and resumes gives the same store as an undisturbed one."""

import resource
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from shutil import copytree, rmtree

import fsspec
import numpy as np
import pytest
import xarray as xr
from fresh import printed
from fsspec.implementations.local import LocalFileSystem

from experiments import provenance
from experiments.errors import Interrupted, RequestError
from experiments.lab import mitigations, store
from experiments.lab.compute import compute
from experiments.lab.plan import plan
from experiments.lab.studies import study
from experiments.user_code import learner_in, run_file
from theory.learners import named

SWEEP = study(axes={"p_spu": "0.5:1:5", "sigma_xi": [0.0, 1.0]}, learners=["infonce", "bayes"])
pytestmark = pytest.mark.usefixtures("small_blocks")


def stopped_after(count):
    """A map that is interrupted after `count` blocks."""

    def mapped(task, parts):
        yield from map(task, islice(parts, count))
        raise KeyboardInterrupt

    return mapped


def harm(file, how):
    """Flip a bit of a file, or cut, empty or remove it."""
    content = bytearray(file.read_bytes())
    file.unlink()
    if how != "remove":
        content[len(content) // 2] ^= 1
        file.write_bytes({"flip": content, "cut": content[:-1], "empty": b""}[how])


def test_a_store_equals_the_table_in_memory_and_is_not_recomputed(tmp_path, same, resumed):
    said = []
    same(resumed(SWEEP, tmp_path / "a.zarr", report=said.append), SWEEP.run())
    assert (said, list(tmp_path.glob(".*"))) == ([], [])
    opened = xr.open_zarr(tmp_path / "a.zarr", chunks=None)  # a warning fails the test
    np.testing.assert_array_equal(opened.counter, SWEEP.run().counter)
    resumed(
        SWEEP,
        tmp_path / "a.zarr",
        mapped=lambda task, numbers: pytest.fail("there is nothing to do"),
    )


@pytest.mark.parametrize("count", [0, 3])
def test_an_interrupted_run_says_what_it_kept_and_resumes(tmp_path, count, same, resumed):
    where = tmp_path / "a.zarr"
    with pytest.raises(Interrupted, match=rf"interrupted; {count} of 5 blocks are in {where}"):
        resumed(SWEEP, where, mapped=stopped_after(count))
    half = store.read(where)
    # a warning fails the test
    xr.testing.assert_equal(half.counter, xr.open_zarr(where, chunks=None).counter)
    assert ((half.undefined > 0) | half.counter.notnull()).any() == bool(count)
    said = []
    same(resumed(SWEEP, where, report=said.append), SWEEP.run())
    assert said == [f"{count} of 5 blocks are in {where} already"]


def test_a_full_disk_ends_with_status_1(
    soberclip, tmp_path, monkeypatch, exact, undisturbed, same, resumed
):
    """A limit on file sizes imitates a full disk: both fail in the middle of a chunk."""
    where = tmp_path / "a.zarr"
    (tmp_path / "study.toml").write_text(exact.toml())
    with pytest.raises(Interrupted):
        resumed(exact, where, mapped=stopped_after(2))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # the limit would truncate .pyc files
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        ended = soberclip("sweep", tmp_path / "study.toml", "-o", where)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert ended.status == 1
    assert (
        f"soberclip: {where} could not be written: File too large; 2 of 12 blocks are in {where}"
        in ended.err
    )
    same(exact.run(where), undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_command_line(
    soberclip, tmp_path, monkeypatch, exact, undisturbed, same, number
):
    """After the first block."""
    write = store.Store.write
    where = tmp_path / "a.zarr"
    (tmp_path / "study.toml").write_text(exact.toml())

    def signalled(*block):
        monkeypatch.setattr(store.Store, "write", write)
        write(*block)
        signal.raise_signal(number)

    monkeypatch.setattr(store.Store, "write", signalled)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the one who started us has
    ended = soberclip("sweep", tmp_path / "study.toml", "-o", where)
    assert ended.status == 130
    assert f"interrupted; 1 of 12 blocks are in {where}" in ended.err
    same(exact.run(where), undisturbed)


KILLED = """
import os, random, signal, time
from experiments.lab import plan, run, store, studies  # children fork before zarr's thread starts
plan.MOST = 2
planned = plan.plan(studies.read(open("FOLDER/study.toml").read()))
for seconds in random.Random(0).choices([0.01, 0.03, 0.06, 0.12], k=4):
    if not (child := os.fork()):
        try:
            run.run(planned, store.begin("FOLDER/a.zarr", planned))
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_store_resumes_after_a_kill_at_any_moment(tmp_path, exact, undisturbed, same):
    (tmp_path / "study.toml").write_text(exact.toml())
    assert "-9" in printed(KILLED.replace("FOLDER", str(tmp_path))).split()
    same(exact.run(tmp_path / "a.zarr"), undisturbed)


HARMS = pytest.mark.parametrize("how", ["flip", "cut", "remove", "empty"])


@HARMS
@pytest.mark.parametrize("name", ["counter/3.0.0.0", "manifest/3"])
def test_a_damaged_chunk_is_named_and_recomputed(tmp_path, how, name, same, resumed):
    where = tmp_path / "a.zarr"
    said = []
    SWEEP.run(where)
    harm(where / name, how)
    same(resumed(SWEEP, where, report=said.append), SWEEP.run())
    # without its manifest a block is not finished
    unfinished = (name, how) == ("manifest/3", "remove")
    assert said[:-1] == (
        [] if unfinished else [f"{name} is damaged, so its block is computed again"]
    )
    assert said[-1] == f"4 of 5 blocks are in {where} already"


@HARMS
def test_damaged_metadata_and_coordinates_are_refused(tmp_path, how, same):
    """A lost coordinate once ended in a traceback of the picture. Another letter may change no
    number.
    """
    whole = SWEEP.run(tmp_path / "whole")
    for file in sorted(tmp_path.rglob("zarr.json")) + sorted(tmp_path.rglob("c/0")):
        copytree(tmp_path / "whole", tmp_path / "harmed")
        harm(tmp_path / "harmed" / file.relative_to(tmp_path / "whole"), how)
        refused = pytest.raises(RequestError, match=r"not a readable store|holds other")
        with suppress(RequestError) if how == "flip" else refused:
            same(SWEEP.run(tmp_path / "harmed"), whole)
        rmtree(tmp_path / "harmed")


def test_two_processes_may_begin_one_store(tmp_path, monkeypatch, same):
    where = tmp_path / "a.zarr"
    write = store._write_empty

    def slower(*given):
        monkeypatch.setattr(store, "_write_empty", write)
        SWEEP.run(where)
        write(*given)

    monkeypatch.setattr(store, "_write_empty", slower)
    same(SWEEP.run(where), SWEEP.run())
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_another_study_is_refused_by_its_first_difference(tmp_path):
    where = tmp_path / "a.zarr"
    SWEEP.run(where)
    louder = SWEEP.world.model_copy(update={"mu_spu": 2.0})
    with pytest.raises(
        RequestError, match=r"another study \(world.mu_spu is 1.0 there and 2.0 here\)"
    ):
        replace(SWEEP, world=louder).run(where)
    with pytest.raises(
        RequestError,
        match=r"axes is \['p_spu', 'sigma_xi'\] there and \['sigma_xi', 'p_spu'\] here",
    ):
        replace(SWEEP, axes=SWEEP.axes[::-1]).run(where)
    early = study(learners=[named("linear", time=1.0)])
    late = study(learners=[named("linear", time=2.0)])
    early.run(tmp_path / "b.zarr")
    with pytest.raises(RequestError, match="the options of a learner is '"):
        late.run(tmp_path / "b.zarr")


OWN = """
from experiments.lab.mitigations import Mitigation
from theory.learners import LeastSquares
class Mine(LeastSquares):
    name = "mine"
    def direction(self, world):
        return 1.0 * super().direction(world)
row = Mitigation("mine", "other captions", world=lambda world: world.replace(mention_spu=0.5))
"""


def test_a_changed_learner_or_mitigation_of_ones_own_is_refused(tmp_path, monkeypatch, same):
    """A resumed sweep once mixed the numbers of both."""
    file = tmp_path / "own.py"

    def run(text, where, names=("none",)):
        file.write_text(text)
        monkeypatch.setitem(mitigations.MITIGATIONS, "mine", run_file(file, "file")["row"])
        learner = learner_in(f"{file}:Mine")() if where == "learner" else "linear"
        return study(axes={"p_spu": [0.6, 0.9], "mitigation": list(names)}, learners=[learner]).run(
            tmp_path / where
        )

    for where, names, old, new, words in (
        (
            "learner",
            ["none"],
            "1.0 *",
            "2.0 *",
            r"the file of mine is '\w{16}' there and '\w{16}' here",
        ),
        ("law", ["mine", "none"], "0.5", "0.2", "the mitigation mine is .* there and .* here"),
        (
            "prompt",
            ["mine", "none"],
            "world=",
            "prompt='mean', world=",
            "the mitigation mine is .* there and .* here",
        ),
    ):
        same(run(OWN, where, names), run(OWN, where, names))
        with pytest.raises(RequestError, match=rf"another study \({words}\)"):
            run(OWN.replace(old, new), where, names)
    same(run(OWN, "without"), run(OWN.replace("0.5", "0.2"), "without"))


def test_another_format_is_refused(tmp_path, monkeypatch):
    where = tmp_path / "a.zarr"
    SWEEP.run(where)
    monkeypatch.setattr(store, "FORMAT", 7)
    for refused in (lambda: SWEEP.run(where), lambda: store.read(where)):
        with pytest.raises(
            RequestError, match=r"has format 6, .* format 7; name another folder, where"
        ):
            refused()


@pytest.mark.parametrize("package", ["soberclip", "numpy", "scipy", "torch"])
def test_a_store_is_continued_with_the_libraries_that_it_began_with(tmp_path, monkeypatch, package):
    SWEEP.run(tmp_path / "a.zarr")
    real = provenance.version
    monkeypatch.setattr(
        provenance, "version", lambda name: "9.9" if name == package else real(name)
    )
    with pytest.raises(RequestError, match=rf"begun with {package} .* 9\.9 is installed"):
        SWEEP.run(tmp_path / "a.zarr")


def test_paths_that_are_not_a_store_are_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder, file in (("folder", "thesis.tex"), ("broken", "zarr.json")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text("{")
    for name, words in (
        ("file", "file.zarr"),
        ("folder", "other files"),
        ("broken", "is not .*store of a study"),
    ):
        with pytest.raises(RequestError, match=words):
            SWEEP.run(tmp_path / name)
    with pytest.raises(RequestError, match=r"is not .*store of a study"):
        store.read(tmp_path / "nowhere")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "file", "folder"]


def test_an_unfinished_store_that_cannot_be_written_is_refused(tmp_path, monkeypatch, resumed):
    where = tmp_path / "a.zarr"
    with pytest.raises(Interrupted):
        resumed(SWEEP, where, mapped=stopped_after(2))

    def denied(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(RequestError, match=r"cannot be written \(Permission denied\)"):
        SWEEP.run(where)


def test_a_study_beyond_memory_is_refused_with_its_size():
    huge = study(axes={"p_spu": "0:1:100000", "mu_spu": "0:4:1000000"})
    with pytest.raises(
        RequestError, match=r"take 2.8 TB and memory has .* free; a store \(--output\) keeps them"
    ):
        huge.run()


def test_stores_may_be_anywhere_that_fsspec_reaches(same, resumed):
    where = f"memory://{SWEEP.hash}.zarr"
    with pytest.raises(Interrupted, match="4 of 5 blocks"):
        resumed(SWEEP, where, mapped=stopped_after(4))
    same(SWEEP.run(where), SWEEP.run())
    assert store.read(where).counter.notnull().any()


class Listed(LocalFileSystem):
    """Like s3fs, it lists each folder once."""

    protocol, cachable = "listed", True

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(str(path).removeprefix("listed://"))

    def ls(self, path, detail=True, **kwargs):
        if (path, detail) not in self.dircache:
            self.dircache[path, detail] = super().ls(path, detail, **kwargs)
        return self.dircache[path, detail]

    def invalidate_cache(self, path=None):
        self.dircache.clear()


def test_blocks_that_another_process_wrote_are_seen_on_s3(tmp_path):
    fsspec.register_implementation("listed", Listed, clobber=True)
    where = tmp_path / "a.zarr"
    planned = plan(SWEEP)
    kept = store.begin(where, planned)
    seen = store.begin(f"listed://{where}", planned)
    assert not seen.finished().any()
    kept.write(*compute(planned.part(3)))
    assert seen.finished().tolist() == [False, False, False, True, False]
