"""The verb sweep writes to its own files, after a look at all of them, and to addresses that fsspec reaches."""

SMALL = ("sweep", "--axis", "p_spu=0.6,0.9")


def test_a_table_replaces_an_earlier_one_and_no_other_file(soberclip, tmp_path):
    table = tmp_path / "new" / "cells.csv"
    assert soberclip(*SMALL, "--csv", table).status == 0
    assert soberclip(*SMALL, "--csv", table, "--learner", "linear", "--learner", "bayes").status == 0
    assert len(table.read_text().splitlines()) == 5
    table.write_text("a,thesis\n")
    run = soberclip(*SMALL, "--csv", table, "-o", tmp_path / "a.zarr")
    assert (run.status, repr(str(table)) in run.err) == (2, True)
    run = soberclip(*SMALL, "--csv", tmp_path, "-o", tmp_path / "a.zarr")
    assert (run.status, "is a folder" in run.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]  # nothing was begun


def test_a_wrong_value_is_said_to_stand_where_it_does(soberclip, tmp_path):
    world, asked = tmp_path / "world.toml", tmp_path / "study.toml"
    world.write_text("mu_spu = 2.0\nsigma_inv = -1.0")
    asked.write_text("[world]\nmu_spu = -7000.0")
    assert f"{world}: key sigma_inv = -1.0" in soberclip(*SMALL, "--world", world).err
    assert f"{asked}: key mu_spu = -7000.0" in soberclip("sweep", asked).err
    assert "--sigma-inv = -2.0" in soberclip("sweep", "--world", world, "--sigma-inv", "-2").err
    run = soberclip("sweep", asked, "--world", world, "--sigma-inv", "1", "--axis", "p_spu=.6,.9", "--json")
    assert run.document["study"]["world"]["mu_spu"] == 2.0  # the world's file lies over the study's
