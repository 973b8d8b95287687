"""A study is validated as a whole, is written as TOML, and every cell equals the one-world call."""

import tomllib
from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest
from laws.grids import TABLE, distinct, every_learner
from shapecheck import unchecked

from experiments.errors import RequestError
from experiments.lab import plan as planning
from experiments.lab.answers import simulate
from experiments.lab.axes import axis
from experiments.lab.grid import NUMBERS, OF_TRAINING
from experiments.lab.mitigations import mitigated
from experiments.lab.schema import Legend
from experiments.lab.studies import read, study
from experiments.lab.tables import summary
from experiments.page.plot.layout import arrange
from simulator.pixels.views import Pixels
from simulator.tables import named as named_table
from simulator.world import World
from theory.learners import named

NARROW = World(mu_spu=2.0, dim_image=2, dim_text=2)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"axes": {"p_spo": "0:1:3"}}, ["p_spo", "nearest is 'p_spu'"]),
        ({"axes": {"p_spu": [0.5, 0.5]}}, ["p_spu", "0.5", "more than once"]),
        (
            {"axes": {"p_spu": [*np.linspace(0.1, 1, 30_000), 0.1]}},
            ["p_spu", "0.1", "more than once"],
        ),
        ({"axes": {"p_spu": "0:1.5:3"}}, ["p_spu", "1.5", "nearest valid value is 1"]),
        ({"axes": {"p_spu": "0:1:many"}}, ["'0:1:many'", "2 to 1,000,000"]),
        ({"axes": {"p_spu": [0.5, "0.7"]}}, ["p_spu", "'0.7'", "not a number"]),
        (
            {"axes": dict.fromkeys(["p_spu", "mu_spu", "mu_inv", "p_inv"], "0:1:40000")},
            ["2.6e+18 cells", "61.4 EB"],
        ),
        ({"axes": {"dim_image": "2:5:3"}}, ["dim_image", "3.5"]),
        ({"axes": {"p_spu": "0.5:1:3:one-minus"}}, ["both ends of a one-minus axis lie below 1"]),
        ({"axes": {"mu_spu": "0:1:3:log"}}, ["both ends of a log axis lie above 0"]),
        ({"axes": {"dim_image": [1, 2]}}, ["dim_image = 1", "2 latents"]),
        ({"replicates": 2}, ["replicates has no meaning"]),
        ({"axes": {"width": [8]}}, ["width", "'trained'"]),
        # the first is no fault
        ({"learners": ["infonce", "infonse"]}, ["'infonse'", "nearest is infonce"]),
        ({"learners": ["siglip-unbiased"]}, ["'siglip-unbiased'", "'trained'"]),
        (
            {"routes": ["trained"], "recipe": {"width": 0}},
            ["'linear'", "width = 0", "nearest valid value is 1"],
        ),
        (
            {"routes": ["exact"], "n": 1},
            ["n = 1", "[2, 1000000000000]", "nearest valid value is 2"],
        ),
        ({"routes": ["exact"], "n": 100, "learners": ["bayes"]}, ["'exact'", "bayes"]),
        ({"seed": -1}, ["seed = -1"]),
        ({"recipe": {"loss": "siglip"}}, ["'loss'", "learners"]),
        ({"recipe": {"wdth": 8}, "routes": "trained"}, ["'wdth'", "nearest is 'width'"]),
        (
            {"axes": {"embed_dim": [3, 12]}, "learners": "infonce"},
            ["embed_dim = 3 ", " need a scale"],
        ),
        ({"axes": {"scale": [3, 12]}}, ["scale has no meaning", "infonce"]),
        (
            {"axes": {"scale": [3], "bias": [-1.0]}, "learners": "infonce"},
            ["bias has no meaning", "siglip"],
        ),
        (
            {"axes": {"scale": [3], "batch_size": [2]}, "learners": "infonce"},
            ["batch_size has no meaning"],
        ),
        ({"axes": {"table": ["diagonl(1)"]}}, ["axis table", "'diagonl'", "nearest is diagonal"]),
        (
            {"axes": {"table": [[[0.5, 0.0], [0.0, 0.5]]]}},
            ["axis table", "'compositional(3, 4, 1)'"],
        ),
        ({"axes": {"table": ["diagonal(0.9)"], "p_spu": [0.5]}}, ["p_spu", "table"]),
        (
            {"axes": {"table": ["diagonal(0.9)"]}, "world": World(p_spu=0.7)},
            ["p_spu = 0.7", "table"],
        ),
    ],
)
def test_a_refusal_is_one_line_that_names_the_value(request_, words):
    with pytest.raises(RequestError) as refusal:
        study(**request_)
    sentence = str(refusal.value)
    assert "\n" not in sentence
    assert [word for word in words if word not in sentence] == []


def test_whole_numbers_may_be_written_as_floats():
    assert read('routes = ["exact"]\nn = 1e9').n == 10**9
    assert study(axes={"seed": f"{2**53 + 1},1e3"}, routes="drawn", n=2).axes[0].values == (
        2**53 + 1,
        1000,
    )


@pytest.mark.parametrize("n", [None, 10_000])
def test_towers_are_trained_on_the_pairs_of_the_study(n):
    assert study(NARROW, routes="trained", n=n).first(0).recipe.n == n


def test_an_axis_of_time_gives_start_a_meaning():
    """It was refused as if there were no time."""
    found = study(axes={"time": [0.5], "start": [1e-3, 1e-1]}).run()
    assert found.counter.shape == (1, 2, 1, 1)
    assert np.ptp(found.reliance.values) > 1e-3


def test_a_study_survives_a_round_trip_through_toml():
    sweep = study(
        NARROW,
        {"p-spu": "0.9:0.99999:5:one-minus", "n": "1e2:1e10:9:log", "mu_spu": [1, 2.5]},
        ["linear", "infonce"],
        ["name", "mean"],
        ["exact", "drawn"],
        replicates=3,
        seed=7,
    )
    again = read(sweep.toml())
    assert (again, again.hash) == (sweep, sweep.hash)
    assert sweep.axes[1].values[:3] == (100, 1000, 10_000)
    assert np.allclose(1 - np.array(sweep.axes[0].values), 10.0 ** -np.arange(1, 6))


@pytest.mark.parametrize(
    ("route", "options"),
    [
        ("theory", {}),
        ("exact", {"n": 100}),
        ("trained", {"recipe": {"batch_size": 8, "steps": 2, "warmup": 1}}),
    ],
)
def test_a_prompt_that_a_learner_does_not_have_leaves_its_cells_empty_with_a_reason(route, options):
    table = study(
        NARROW, learners=["linear"], prompts=["captions", "scores"], routes=[route], **options
    ).run()
    empty = table.sel(learner="linear", prompt="captions")
    there = table.sel(learner="linear", prompt="scores")
    assert np.isnan(empty.counter).all()
    assert "scores" in str(table.legend.values[int(empty.undefined)])
    assert np.isfinite(there.counter).all()


def test_an_undefined_cell_names_its_route():
    axes = {"n": [2, 400]}
    routes = ["exact", "drawn"]
    sweep = study(NARROW, axes, ["linear", "logistic"], routes=routes, replicates=2)
    table = sweep.run()
    unknown = "the exact law of logistic given n pairs is not known at all"
    assert (table.undefined.sel(learner="linear") == 0).all()
    assert (table.predicted_undefined == 0).all()
    lost = table.undefined.sel(learner="logistic").squeeze()
    assert (lost != 0).values.tolist() == [[True, True], [True, False]]  # two pairs are separable
    separable = str(table.legend.values[int(lost.sel(n=2, route="drawn"))])
    assert "separable" in separable
    document = summary(sweep, table, None, 100)
    cells = [dict(zip(document["columns"], row, strict=True)) for row in document["rows"]]
    given_reasons = {
        (c["n"], c["learner"], c["route"]): c["undefined"] for c in cells if c["undefined"]
    }
    expected = {(2, "exact"): unknown, (400, "exact"): unknown, (2, "drawn"): separable}
    assert given_reasons == {(n, "logistic", route): why for (n, route), why in expected.items()}
    counted = [(one["route"], one["undefined"]) for one in document["ranges"][2:]]
    assert counted == [("exact", {unknown: 2}), ("drawn", {separable: 1})]
    # a route without any measurement shows its theory
    assert arrange(table).undefined == (("drawn", separable),)


@pytest.mark.parametrize(
    ("loss", "temperature", "lost"),
    [("infonce", None, [True, False]), ("siglip-unbiased", 0.5, [True, True])],
)
def test_a_cell_without_theory_gets_a_reason(loss, temperature, lost):
    recipe = {"width": 4, "depth": 1, "embed_dim": 2, "batch_size": 16, "steps": 2, "warmup": 0}
    recipe |= {} if temperature is None else {"temperature": temperature}
    sweep = study(
        NARROW, {"sigma_xi": [0.0, 1.0]}, loss, routes="trained", replicates=2, recipe=recipe
    )
    table = sweep.run()
    assert (table.undefined == 0).all()
    assert np.isnan(table.predicted_counter.values.ravel()).tolist() == lost
    reasons = table.legend.values[table.predicted_undefined.values.ravel()]
    assert [bool(reason) for reason in reasons] == lost
    expected = (
        "where images have no noise"
        if temperature is None
        else "no closed form is known for this training"
    )
    assert expected in reasons[0]
    assert arrange(table).undefined == (("theory", reasons[0]),)


def test_options_of_unit_embeddings_are_axes():
    """Each in its cells, and in the law's groups of cells; not of a learner that lacks the
    option.
    """
    axes = {
        "scale": [0.5, 2.0],
        "embed_dim": [3, 8],
        "bias": [-1.0, 1.0],
        "batch_size": [2, 8],
        "mu_spu": [1.0, 2.0],
    }
    sweep = study(World(sigma_xi=6.0), axes, ["siglip", "infonce", "linear"], prompts="mean")
    whole = {"scale": 2.0, "embed_dim": 3, "bias": 1.0, "batch_size": 8}
    expected = [whole, {name: whole[name] for name in ("scale", "embed_dim")}, {"embed_dim": 3}]
    for k, options in enumerate(expected):
        assert sweep.cell((1, 0, 1, 1, 0), k, "mean").learner == named(
            sweep.learners[k], prompt="mean", **options
        )
    groups = sweep.settings({*sweep.dims} - NUMBERS - OF_TRAINING)
    assert len({one.learner for _, one in groups}) == 16 + 4 + 2


def test_reasons_that_differ_in_their_numbers_are_one():
    legend = Legend()
    codes = [
        legend.code(each)
        for each in ("p = 0.1 in #2 is too low", "p is lost", "p = 0.3 in #2 is too low")
    ]
    assert codes == [1, 2, 1]
    assert legend.sentences == ["", "p = 0.1 to 0.3 in #2 is too low", "p is lost"]


@pytest.mark.parametrize("most", [1, 100])
def test_a_theory_has_intervals_if_any_number_is_sampled(most, tmp_path, monkeypatch, same):
    """In blocks of one place and in one block; a trial of nine places once missed the second of
    thirty tables.
    """
    monkeypatch.setattr(planning, "MOST", most)
    exact, sampled = "diagonal(0.9)", "compositional(3, 3, 1)"
    alone = study(axes={"table": [exact]}, learners=["linear"]).run()
    assert not [name for name in alone if str(name).endswith(("_low", "_high"))]
    request = study(axes={"table": [exact, sampled]}, learners=["linear"])
    table = request.run()
    same(request.run(tmp_path / "a.zarr"), table)
    value, low, high = (table[f"common{end}"].squeeze().values for end in ("", "_low", "_high"))
    assert low[0] == value[0] == high[0]
    assert low[1] < value[1] < high[1]
    value, low, high = (table[f"unseen{end}"].squeeze().values for end in ("", "_low", "_high"))
    assert np.isnan([value[0], low[0], high[0]]).all()  # the first table has no such group
    assert low[1] < value[1] < high[1]


def test_a_mitigation_that_depends_on_the_number_of_classes_has_a_law_for_each():
    """Or a reason. It ended in a TypeError."""
    axes = {
        "mitigation": ["none", "narrow", "balance", "group-dro"],
        "classes": [2, 3],
        "p_spu": [0.8, 1.0],
    }
    table = study(axes=axes, learners=["linear"]).run().sel(learner="linear", prompt="name")
    for name, classes, p in product(*axes.values()):
        cell = table.sel(mitigation=name, classes=classes, p_spu=p)
        reason = str(table.legend.values[int(cell.undefined)])
        try:
            world, learner = mitigated(name, World(classes=classes, p_spu=p), named("linear"))
        except RequestError:
            assert {"balance": "p_spu = 1", "group-dro": "'linear'"}[name] in reason
        else:
            assert reason == ""
            assert [float(cell.common), float(cell.counter)] == pytest.approx(
                [*learner.accuracy(world)][:2], abs=1e-12
            )


def test_accuracies_end_where_fractions_do_and_reliances_do_not():
    found = study(NARROW, {}, ["linear"], ["mean"], ["exact"], 4, 3, 5).run().squeeze()
    assert (float(found.counter_low), float(found.common_high)) == (0.0, 1.0)
    assert found.reliance_low < 0 < 1 < found.reliance_high


def test_the_hash_omits_fields_at_their_defaults():
    """So a new field of World leaves old stores valid."""
    sweep = study(World(mu_spu=2.0))
    assert tomllib.loads(sweep.toml())["world"] == {"mu_spu": 2.0}
    assert sweep.document()["world"]["mu_inv"] == 1.0


def test_tables_are_an_axis_and_a_base_world():
    """Each cell is the one-world call, and groups that a table lacks are nan."""
    names = ["compositional(2, 2, 1)", "diagonal(0.9)"]
    how = {
        "learners": "linear",
        "routes": "exact",
        "n": 200,
    }
    sweep = study(
        World(dim_image=2, dim_text=2), {"table": names, "mu_spu": [1.0, 2.0]}, replicates=2, **how
    )
    assert read(sweep.toml()).hash == sweep.hash
    assert axis("table", ",".join(names)) == sweep.axes[0]
    assert len(axis("table", f"mixture([{names[0]}, {names[1]}], [3, 1]), {names[1]}").values) == 2
    table = sweep.run()
    for name in names:
        for mu in (1.0, 2.0):
            world = World(mu_spu=mu, dim_image=2, dim_text=2, table=named_table(name))
            alone = simulate(world, named("linear"), 200, 2, "exact", 0)["replicates"]
            cell = table.sel(table=name, mu_spu=mu).squeeze()
            assert cell.common.values.tolist() == [one["common"] for one in alone]
    seen = table.unseen.isel(learner=0, prompt=0)
    assert np.isfinite(seen.sel(table=names[0])).all()
    assert np.isnan(seen.sel(table=names[1])).all()
    assert np.isfinite(table.counter.sel(table=names[1])).all()
    means = seen.sel(table=names[0]).mean("replicate").values
    base = study(World(table=named_table(names[0])), learners="linear")
    assert read(base.toml()).world == base.world
    assert "unseen" not in study(World(table=named_table(names[1])), **how).run()
    assert summary(sweep, table, None, 0)["ranges"][0]["unseen"] == [means.min(), means.max()]


COCO = {"objects": "coco", "root": "a", "attribute": "background-colour"}
PICTURES = [
    {},
    {"objects": "mnist", "root": "a"},
    {"objects": "mnist", "root": "b"},
    {"attribute": "background-colour"},
    {"attribute": "photos", "photos": "a"},
    {"attribute": "photos", "photos": "b"},
    {"tied": (0, 1)},
    {"told": "object"},
    {"size": 16},
    COCO,
    {**COCO, "categories": ("cat", "dog")},
]


def test_every_field_of_a_request_is_in_its_hash():
    """Fields of a study, of worlds, attributes and pictures, and the options of every learner."""
    one = study(axes={"p_spu": "0.5:1:3"}, learners=["linear"])
    other = distinct(1, attributes=1, classes=3)[0]
    of_study = {
        "world": World(mu_spu=2.0),
        "axes": (axis("p_spu", "0.5:1:4"),),
        "learners": ("infonce",),
        "prompts": ("mean",),
        "routes": ("theory", "exact"),
        "n": 100,
        "replicates": one.replicates + 1,
        "seed": one.seed + 1,
        "recipe": (("width", 8),),
    }
    assert set(of_study) == {field.name for field in fields(one)}
    assert set().union(*PICTURES) == set(Pixels.model_fields)
    numbers = World.model_fields.keys() - {"table", "common", "views"}
    worlds = [World(**{name: getattr(other, name)}) for name in numbers]
    attributes = [{}, *({name: value} for name, value in other.attribute[0].model_dump().items())]
    worlds += [World(attribute=(own,)) for own in attributes]
    worlds += [World(table=TABLE), World(table=TABLE, common=((1,), (0,), (2,)))]
    worlds += [World(views=Pixels(**shown)) for shown in PICTURES]
    asked = [one, *(replace(one, **{name: value}) for name, value in of_study.items())]
    asked += [replace(one, world=world) for world in worlds]
    asked += [replace(one, learners=(learner,)) for learner in every_learner()]
    hashes = [each.hash for each in asked]
    assert [str(each.document()) for each in asked if hashes.count(each.hash) > 1] == []


VALUES = (
    "nan",
    "inf",
    "-1",
    "1e400",
    "1e30",
    "true",
    "[]",
    "{}",
    '""',
    "[[1]]",
    "[nan]",
    "1979-05-27",
    "[",
    "\0",
    "-0.0",
    '"0:1"',
    '"nan:1:3"',
    '"0:inf:3"',
    '"1:2:3:log"',
    "9223372036854775808",
    "[1, 1]",
    "[{}]",
    '["linear", 3]',
    '"::"',
)
LINES = (
    *(
        f"{key} = "
        for key in (
            "learners",
            "prompts",
            "routes",
            "n",
            "seed",
            "axes",
            "recipe",
            "world",
            "é",
            "width",
        )
    ),
    *(
        f"routes = 'drawn'\nn = 9\n[axes]\n{key} = "
        for key in ("n", "p_spu", "table", "mitigation", "loss", "n-")
    ),
    *(f"[world]\n{key} = " for key in ("p_spu", "table", "attribute", "views", "mitigation")),
    *(f"routes = 'trained'\n[recipe]\n{key} = " for key in ("width", "loss", "device")),
)


@pytest.mark.parametrize("line", LINES)
def test_a_study_file_with_any_value_is_read_or_refused_in_one_sentence(line):
    for value in VALUES:
        sentence = ""
        try:
            with unchecked():
                read(line + value)
        except RequestError as error:
            sentence = str(error)
        assert "\n" not in sentence
