"""sweep, designs and plot: designs are listed, run, changed by flags and drawn; a wrong request
gets one sentence.
"""

import shlex

SWEEP = ("sweep", "--axis", "p_spu=0.6,0.9")
SMALL = ("--axis", "p_spu=0.6,0.9", "--learner", "linear")


def test_a_design_runs_and_is_drawn(soberclip, tmp_path):
    store = tmp_path / "a.zarr"
    table = tmp_path / "a.csv"
    run = soberclip("sweep", "sources", *SMALL, "-o", store, "--csv", table, "--json")
    document = run.document
    assert (run.status, document["cells"], document["design"]["name"]) == (0, 4, "sources")
    assert document["study"]["axes"] == {"p_spu": [0.6, 0.9]}
    assert document["study"]["world"]["mu_spu"] == 1.5  # the design sets what no flag sets
    assert len(table.read_text().splitlines()) == 5
    question, *_, picture = run.err.splitlines()
    assert question == f"soberclip: {document['design']['question']}"
    words = shlex.split(picture.partition(": to look at: ")[2])
    assert words[:2] == ["soberclip", "plot"]
    drawn = soberclip(*words[1:], "-o", tmp_path / "a.svg", "--json")
    assert (drawn.status, drawn.document["what"]) == (0, "counter")
    assert (tmp_path / "a.svg").stat().st_size > 1000


def test_a_design_with_a_printed_counterpart_shows_it(soberclip):
    setting = (
        "--axis",
        "classes=2",
        "--axis",
        "p_inv=0.9",
        "--axis",
        "p_spu=0.75",
        "--learner",
        "supervised",
    )
    run = soberclip(
        "sweep", "multicolored-mnist", *setting, "--n", 8, "--batch-size", 4, "--steps", 1, "--json"
    )
    rand, rev = run.document["printed"]
    assert (rand["group"], rev["group"], rev["printed"]) == ("rand", "rev", 0.8022)


def test_cells_without_a_theory_are_counted_once_for_all_routes(soberclip):
    routes = ("--route", "exact", "--route", "drawn", "--n", 8)
    printed = soberclip(
        "sweep", "--axis", "mu_spu=.1,.2,2", "--learner", "linear", "--learner", "printed", *routes
    ).out
    assert "\n2 undefined (theory): Theorem 6.2" in printed
    assert "\n3 undefined (exact): the exact law of printed" in printed


def test_a_dry_run_prints_the_size_and_stops(soberclip):
    quick, full = (soberclip("sweep", "sources", *flag, "--dry-run") for flag in ((), ("--full",)))
    assert (quick.status, quick.out) == (0, "")
    assert "366 cells" in quick.err
    assert "1,206 cells" in full.err
    assert all(line.startswith("soberclip: ") for line in full.err.splitlines())


def test_a_wrong_place_is_refused_before_anything_is_said(soberclip, tmp_path):
    (tmp_path / "thesis").write_text("mine")
    for where in (
        (),
        ("-o", tmp_path / "a.zarr", "--workers", "100000"),
        ("-o", tmp_path / "thesis"),
    ):
        run = soberclip("sweep", "sources", *SMALL, *where)
        assert run.status == (2 if where else 0)
        assert len(run.err.splitlines()) == (1 if where else 2)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


def test_a_table_replaces_an_earlier_one_and_no_other_file(soberclip, tmp_path):
    table = tmp_path / "new" / "cells.csv"
    assert soberclip(*SWEEP, "--csv", table).status == 0
    assert (
        soberclip(*SWEEP, "--csv", table, "--learner", "linear", "--learner", "bayes").status == 0
    )
    assert len(table.read_text().splitlines()) == 5
    table.write_text("a,thesis\n")
    run = soberclip(*SWEEP, "--csv", table, "-o", tmp_path / "a.zarr")
    assert (run.status, repr(str(table)) in run.err) == (2, True)
    run = soberclip(*SWEEP, "--csv", tmp_path, "-o", tmp_path / "a.zarr")
    assert (run.status, "is a folder" in run.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]  # no work was started


def test_flags_override_a_world_file_and_it_overrides_a_study(soberclip, tmp_path):
    """A path with a folder is a file even if it is named like a design."""
    world = tmp_path / "world.toml"
    file = tmp_path / "sources"
    world.write_text("mu_spu = 2.0\nsigma_inv = -1.0")
    file.write_text("[world]\nmu_spu = -7000.0")
    assert "sigma_inv = -1.0" in soberclip(*SWEEP, "--world", world).err
    assert "mu_spu = -7000.0" in soberclip("sweep", file).err
    run = soberclip(
        "sweep", file, "--world", world, "--sigma-inv", "1", "--axis", "p_spu=.6,.9", "--json"
    )
    assert (run.document["study"]["world"]["mu_spu"], run.document["design"]) == (2.0, None)
