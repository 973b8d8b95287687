"""Cells beyond the grid: where they are placed, that the run does not matter, how they are kept and drawn."""

import csv
import re

import numpy as np
import pytest

pytest.importorskip("adaptive")

from experiments.command.main import main
from experiments.errors import Interrupted, RequestError
from experiments.lab import refine, store
from experiments.lab.refine import FLAT, loss, values
from experiments.lab.study import study
from experiments.lab.sweep import sweep
from experiments.lab.table import columns, rows
from experiments.page.plot.composed import composed
from simulator.world import World

SMALL = World(dim_image=4, dim_text=4, sigma_xi=0.5, sigma_spu=2.0)
# Two rules that change places twice, near p_spu = .415 and at .5.
LINE = study(SMALL, {"p_spu": "0.3:0.9:4"}, ["linear"], ["name", "mean"], ["exact"], 1000, 20)
PLANE = study(
    SMALL, {"p_spu": "0.3:0.9:4", "mu_spu": "0.25:4:4:log"}, ["linear"], ["name", "mean"], ["exact"], 1000, 20
)


def same(first, second):
    assert list(first.variables) == list(second.variables)
    for name in first.variables:
        if name != "seconds":
            np.testing.assert_array_equal(first[name].values, second[name].values)


def cells_of(where):
    return store.arrays(store.refined(where))


def test_cells_gather_where_two_learners_change_places(tmp_path):
    """Where the theory has them change, at two places, lie half of the cells; even spacing would put 5 of 40 there."""
    table = sweep(LINE, tmp_path / "a.zarr", refine=40)
    placed = cells_of(tmp_path / "a.zarr")["p_spu"][:40]
    fine = study(SMALL, {"p_spu": "0.3:0.9:6001"}, ["linear"], ["name", "mean"]).run()
    difference = fine.counter.values[:, 0, 0] - fine.counter.values[:, 0, 1]
    crossings = fine.p_spu.values[1:][np.diff(np.sign(difference)) != 0]
    assert 2 <= len(crossings) <= 3  # one of them may be hit exactly, and counts twice
    assert np.sum(np.abs(placed[:, None] - crossings).min(axis=1) < 0.02) >= 20
    assert table.counter.dims == ("p_spu", "learner", "prompt", "replicate")
    assert np.array_equal(table.p_spu, np.sort(np.concatenate([placed, LINE.axes[0].values])))


def test_every_cell_is_the_study_of_its_place(tmp_path):
    table = sweep(PLANE, tmp_path / "a.zarr", refine=3)
    assert table.counter.dims == ("cell", "learner", "prompt", "replicate")
    assert table.sizes["cell"] == 16 + 3
    for cell in (5, 17):
        place = {name: [float(table[name][cell])] for name in PLANE.dims}
        alone = study(SMALL, place, ["linear"], ["name", "mean"], ["exact"], 1000, 20).run()
        for name in ("counter", "predicted_counter", "counter_se"):
            np.testing.assert_array_equal(table[name].values[cell], alone[name].values[0, 0])


def test_whoever_computes_them_and_however_often_cells_are_the_same(tmp_path):
    """Backwards, interrupted, and with a budget that grows."""
    once = sweep(PLANE, tmp_path / "a.zarr", refine=10)

    def backwards(task, numbers):
        return map(task, numbers[::-1])

    same(sweep(PLANE, tmp_path / "b.zarr", refine=10, execute=backwards), once)
    calls = []

    def stopped(task, numbers):
        for number in numbers[::-1]:
            calls.append(number)
            if len(calls) == 5:
                raise KeyboardInterrupt
            yield task(number)

    where = tmp_path / "c.zarr"
    PLANE.run(where)
    with pytest.raises(Interrupted, match=rf"interrupted; 4 cells beyond the grid are in {where}, and the same"):
        sweep(PLANE, where, refine=10, execute=stopped)
    assert store.read(where).sizes["p_spu"] == 4  # cells 7, 6, 5, 4 wait for those before them
    sweep(PLANE, where, refine=4)
    assert store.read(where).sizes["cell"] == 16 + 8
    same(PLANE.run(where, refine=10), once)


def test_a_damaged_cell_is_named_and_computed_again(tmp_path):
    where = tmp_path / "a.zarr"
    once = sweep(LINE, where, refine=4).load()
    chunk = where / "refined" / "counter" / "2.0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    said = []
    same(sweep(LINE, where, refine=4, report=said.append), once)
    assert "counter/2.0.0.0 is damaged, so its block is computed again" in said


def test_what_a_kill_leaves_of_the_room_is_made_again(tmp_path):
    where = tmp_path / "a.zarr"
    LINE.run(where)
    (where / "refined").mkdir()
    (where / "refined" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    assert sweep(LINE, where, refine=2).sizes["p_spu"] == 6


def test_cells_that_another_version_placed_are_not_mixed(tmp_path):
    where = tmp_path / "a.zarr"
    sweep(LINE, where, refine=2)
    cells_of(where)["p_spu"][0] = 0.123
    with pytest.raises(
        RequestError, match=r"cell 0 of .* lies at \(0.123,\) and would now lie at .*version of adaptive"
    ):
        sweep(LINE, where, refine=2)


def test_the_loss_asks_for_what_is_uncertain():
    def of(*ends, differences=1):
        return float(loss(0.5, np.array(ends, float), differences))

    # (counter, difference, their standard errors)
    assert of((0.5, 0.2, 0.01, 0.01), (0.5, 0.2, 0.01, 0.01)) == 0.5 * FLAT
    assert of((0.5, 0.2, 0.01, 0.01), (0.5, 0.01, 0.01, 0.01)) > 0.5  # the sign at one end
    assert of((0.5, 0.2, 0.0, 0.0), (0.5, -0.2, 0.0, 0.0)) == pytest.approx(0.5 * (FLAT + 0.4 + 1))
    assert of((0.5, 0.3, 0.1, 0.1), (0.4, 0.3, 0.1, 0.1)) == 0.5 * FLAT  # a change within noise
    assert of((0.9, 0.3, 0.0, 0.0), (0.4, 0.3, 0.0, 0.0)) == pytest.approx(0.5 * (FLAT + 0.5))
    assert of((1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)) == 0.5 * FLAT  # both saturated
    assert of((0.9, 0.0, 0.0, -1), (0.4, 0.0, 0.0, -1)) == pytest.approx(0.5 * (FLAT + 0.5))  # no number
    assert of((0.9, 0.0), (0.4, 0.0), differences=0) == pytest.approx(0.5 * (FLAT + 0.5))


def test_values_are_means_and_paired_differences():
    counter = np.random.default_rng(0).uniform(size=(3, 1, 2, 7))
    counter[2, 0, 1] = np.nan
    found = values(counter, LINE)
    a, b = counter[:2, 0, 0], counter[:2, 0, 1]
    for q, numbers in enumerate((a, b, a - b)):
        np.testing.assert_allclose(found[:2, q], numbers.mean(-1))
        np.testing.assert_allclose(found[:2, 3 + q], numbers.std(-1, ddof=1) / np.sqrt(7))
    assert found[2, 4] == found[2, 5] == -1


@pytest.mark.parametrize(
    ("given", "budget", "sentence"),
    [
        ({"routes": ["theory"], "n": None, "replicates": 1}, 5, "refine has no meaning for the theory alone"),
        ({"replicates": 1}, 5, "refine needs two replicates or more"),
        ({"axes": {}}, 5, "along one axis or two, and this study has 0"),
        ({"axes": {"n": [100, 1000]}, "n": None}, 5, "between the values of n there are no others"),
        ({"axes": {"p_spu": [0.5]}}, 5, "axis p_spu has one value"),
        ({}, 0, r"refine = 0 lies outside \[1, 10000\]; the nearest valid value is 1"),
        ({}, 10**6, r"refine = 1000000 lies outside"),
    ],
)
def test_bad_requests_get_one_sentence_before_any_work(tmp_path, given, budget, sentence):
    asked = {"axes": {"p_spu": "0.3:0.9:4"}, "routes": ["exact"], "n": 1000, "replicates": 20, **given}
    with pytest.raises(RequestError, match=sentence):
        study(SMALL, **asked).run(tmp_path / "a.zarr", refine=budget)
    assert not (tmp_path / "a.zarr").exists()


def test_a_store_and_the_library_are_needed(tmp_path, monkeypatch):
    with pytest.raises(RequestError, match="refine needs a store"):
        LINE.run(refine=5)
    monkeypatch.setattr(refine, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"refine needs adaptive, .*'\.\[refine\]'"):
        LINE.run(tmp_path / "a.zarr", refine=5)


def test_the_command_line_writes_and_draws_them(tmp_path, capsys):
    (tmp_path / "study.toml").write_text(PLANE.toml())
    where, flat = tmp_path / "a.zarr", tmp_path / "a.csv"
    assert main(["sweep", str(tmp_path / "study.toml"), "-o", str(where), "--refine", "9", "--csv", str(flat)]) == 0
    sentence = r"9 places beyond the grid, (under a second|about [\d.]+ (s|min|h|days)) more\n"
    assert re.search(sentence, capsys.readouterr().err)
    written = list(csv.DictReader(flat.read_text().splitlines()))
    assert len(written) == 2 * (16 + 9)
    assert list(written[0])[:4] == ["p_spu", "mu_spu", "learner", "prompt"]
    table = store.read(where)
    assert [row[:4] for row in rows(table)][-1] == [float(table.p_spu[-1]), float(table.mu_spu[-1]), "linear", "mean"]
    assert columns(table) == list(written[0])
    assert main(["plot", str(where), "--output", str(tmp_path / "a.png")]) == 0
    assert main(["plot", str(where), "--at", "p_spu=0.5"]) == 2
    assert "--at p_spu=0.5: cells beyond the grid lie on no line of p_spu" in capsys.readouterr().err


def test_a_map_is_linear_between_cells(tmp_path):
    table = sweep(PLANE, tmp_path / "a.zarr", refine=9).load()
    table["counter"][...] = (3 * table.p_spu + np.log10(table.mu_spu)).values[:, None, None, None]
    picture = composed(table, "counter", {})
    drawn = picture.panels[0].series[0].data.value
    np.testing.assert_allclose(drawn, 3 * drawn.p_spu + np.log10(drawn.mu_spu), atol=1e-12)
    np.testing.assert_array_equal(picture.dots, [table.p_spu, table.mu_spu])
    assert picture.computed == (50, 50)
