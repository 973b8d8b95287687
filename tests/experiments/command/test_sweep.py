"""The verb sweep writes to its own files, after a look at all of them, and to addresses that fsspec reaches."""

import pytest

SMALL = ("sweep", "--axis", "p_spu=0.6,0.9")


def test_a_table_replaces_an_earlier_one_and_no_other_file(soberclip, tmp_path):
    table = tmp_path / "new" / "cells.csv"
    assert soberclip(*SMALL, "--csv", table).status == 0
    assert soberclip(*SMALL, "--csv", table, "--learner", "linear", "--learner", "bayes").status == 0
    assert len(table.read_text().splitlines()) == 5
    table.write_text("a,thesis\n")
    run = soberclip(*SMALL, "--csv", table, "-o", tmp_path / "a.zarr")
    assert (run.status, run.err) == (
        2,
        f"soberclip: {str(table)!r} was not written by soberclip sweep, so it is kept; name another file\n",
    )
    run = soberclip(*SMALL, "--csv", tmp_path, "-o", tmp_path / "a.zarr")
    assert (run.status, "is a folder; a table is a file such as" in run.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]  # nothing was begun


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--p-spu", ".7"), "--p-spu is set and an axis as well; leave one of them out"),
        (("--axis", "p-spu=.5,.6"), "axis 'p_spu' is given more than once"),
        (("-o", "s4://bucket/a.zarr"), "output 's4://bucket/a.zarr' cannot be reached: Protocol not known: s4"),
    ],
)
def test_wrong_requests_get_one_sentence(soberclip, words, sentence):
    run = soberclip(*SMALL, *words)
    assert (run.status, run.out, run.err) == (2, "", f"soberclip: {sentence}\n")


def test_a_store_may_have_an_address(soberclip):
    run = soberclip(*SMALL, "-o", "memory://test_sweep.zarr", "--json")
    assert run.document["output"] == "memory://test_sweep.zarr"
    assert "2 cells in 1 block, at most" in run.err
    again = soberclip(*SMALL, "-o", "memory://test_sweep.zarr", "--json")
    assert again.document == run.document


def test_a_wrong_value_is_said_to_stand_where_it_does(soberclip, tmp_path):
    world, asked = tmp_path / "world.toml", tmp_path / "study.toml"
    world.write_text("mu_spu = 2.0\nsigma_inv = -1.0")
    asked.write_text("[world]\nmu_spu = -7000.0")
    domain = "lies outside [0, 1000]; the nearest valid value is 0"
    assert soberclip(*SMALL, "--world", world).err == f"soberclip: {world}: key sigma_inv = -1.0 {domain}\n"
    assert f"soberclip: {asked}: key mu_spu = -7000.0 lies outside" in soberclip("sweep", asked).err
    assert soberclip("sweep", "--world", world, "--sigma-inv", "-2").err == f"soberclip: --sigma-inv = -2.0 {domain}\n"
    run = soberclip("sweep", asked, "--world", world, "--sigma-inv", "1", "--axis", "p_spu=.6,.9", "--json")
    assert run.document["study"]["world"]["mu_spu"] == 2.0  # the world's file lies over the study's


def test_cells_without_a_number_are_counted_by_route(soberclip):
    routes = ("--route", "exact", "--route", "drawn", "--dim-image", "2", "--dim-text", "2")
    said = soberclip("sweep", "--axis", "n=2,400", "--learner", "linear", "--learner", "logistic", *routes).out
    assert "2 undefined (exact): the exact law of logistic given n pairs is not known at all\n" in said
    assert "1 undefined (drawn): the 2 drawn pairs are separable" in said
