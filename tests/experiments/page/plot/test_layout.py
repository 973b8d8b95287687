"""The layout of a picture: axes, panels and numbers; nothing is dropped or interpolated."""

import re

import handmade
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from experiments.errors import RequestError
from experiments.inference import FRACTION, REALS, t_bounds
from experiments.lab.studies import study
from experiments.page.plot import draw
from experiments.page.plot.axes import MOST_TICKS, SCALES, axis_of, ticks_of
from experiments.page.plot.frame import caption, title_of
from experiments.page.plot.layout import arrange
from experiments.page.plot.places import PLACES
from experiments.page.plot.series import WHAT, everyone
from simulator.world import World

# `test_places.py` has the others
PLAIN = ["reliance", *(word for word in WHAT if word not in PLACES)]
P = np.linspace(0.5, 1.0, 6)
MU = np.linspace(0.5, 4.0, 5)
SIGMA = np.array([0.5, 1.0])


@pytest.fixture(scope="module")
def table():
    return handmade.theory(
        {"p_spu": P, "mu_spu": MU, "sigma_spu": SIGMA},
        ("linear", "infonce", "bayes"),
        ("name", "mean"),
    )


@pytest.fixture(scope="module")
def counted(table):
    return handmade.measured(table, replicates=5)


@pytest.mark.parametrize("word", PLAIN)
def test_measured_words_have_theory_beside_them(counted, word):
    (panel,) = arrange(counted, word, {"mu_spu": "4", "sigma_spu": "1"}).panels
    at = counted.sel(mu_spu=4, sigma_spu=1, learner="linear", prompt="name")
    own = {
        "drop": at.common - at.counter,
        "balanced": (at.common + at.counter) / 2,
        "worst": np.minimum(at.common, at.counter),
        "error-counter": 1 - at.counter,
    }.get(word, at.get(word))
    data = panel.series[0].data
    support = {"drop": (-1, 1), "reliance": REALS}.get(word, FRACTION)
    ends = t_bounds(own.values, 0.025, support)
    assert np.allclose(data.value, own.mean("replicate"))
    assert np.allclose(data.low, ends.low)
    assert np.allclose(data.high, ends.high)
    assert panel.series[0].level == 0.95
    theory = arrange(
        counted.drop_vars([n for n in counted.data_vars if n.endswith(("low", "high"))]), word
    )
    assert "predicted" in theory.panels[0].series[0].data


def test_a_diverged_model_takes_no_interval_from_the_others(counted):
    """As in the intervals that a store holds."""
    lost = counted.copy()
    for group in ("common", "counter"):
        lost[group] = counted[group].where(counted.replicate != 0)
    (panel,) = arrange(lost, "drop", {"mu_spu": "4", "sigma_spu": "1"}).panels
    at = counted.sel(mu_spu=4, sigma_spu=1, learner="linear", prompt="name")
    ends = t_bounds((at.common - at.counter).values[..., 1:], 0.025, (-1, 1))
    assert np.allclose(panel.series[0].data.low, ends.low)
    assert np.allclose(panel.series[0].data.high, ends.high)


def test_too_many_panels_name_the_axis_to_fix():
    axes = {"p_spu": P, "mu_spu": MU, "sigma_spu": np.arange(5.0)}
    learners = (
        "least-squares",
        "bayes",
        "logistic",
    )
    many = handmade.theory(axes, ("linear", *learners), ("name", "mean"))
    with pytest.raises(RequestError, match=r"25 panels.*--at sigma_spu=2"):
        arrange(many)
    assert len(arrange(many, "counter", {"sigma-spu": "3"}).panels) == 5


def test_differences_pair_replicates(counted):
    (panel,) = arrange(counted, "linear:mean minus bayes", {"mu_spu": "4", "sigma_spu": "1"}).panels
    at = counted.counter.sel(mu_spu=4, sigma_spu=1)
    own = (
        at.sel(learner="linear", prompt="mean").values
        - at.sel(learner="bayes", prompt="name").values
    )
    assert np.allclose(panel.series[0].data.value, own.mean(axis=-1))
    assert np.allclose(panel.series[0].data.low, t_bounds(own, 0.025).low)


@pytest.mark.parametrize("what", ["linear minus infonce", "infonce minus linear"])
def test_a_difference_has_the_reason_of_either_side(what):
    """Where images have no noise, InfoNCE alone is undefined."""
    theory = handmade.theory({"sigma_xi": [0.0, 1.0]}, ("linear", "infonce"))
    for data, names in (
        (theory, ["undefined"]),
        (handmade.measured(theory), ["undefined", "predicted_undefined"]),
    ):
        series = arrange(data, what).panels[0].series[0]
        for name in names:
            assert (series.data[name] != 0).values.tolist() == [True, False]


def test_sampled_theory_keeps_its_interval_and_words_widen_it(table):
    sampled = table.assign(common_low=table.common - 0.01, common_high=table.common + 0.02)
    sampled = sampled.assign(counter_low=table.counter - 0.03, counter_high=table.counter + 0.04)
    sampled = sampled.assign(
        unseen=-table.common, unseen_low=-table.common - 0.05, unseen_high=-table.common + 0.06
    )
    at = {"mu_spu": "4", "sigma_spu": "1"}
    for word, below, above, level in (
        ("worst", 0.05, 0.06, 0.85),
        ("counter", 0.03, 0.04, 0.95),
        ("error-counter", 0.04, 0.03, 0.95),
        ("drop", 0.01 + 0.04, 0.02 + 0.03, 0.9),
        ("balanced", 0.02, 0.03, 0.9),
        ("linear:name minus bayes", 0.07, 0.07, 0.9),
    ):
        series = arrange(sampled, word, at).panels[0].series[0]
        assert np.allclose(series.data.value - series.data.low, below)
        assert np.allclose(series.data.high - series.data.value, above)
        assert np.isclose(series.level, level)


@pytest.mark.parametrize(
    ("what", "at", "words"),
    [
        ("cuonter", None, "counter"),
        ("linear:name minus linear:name", None, "linear:name"),
        ("rev", None, "'rev'"),
        ("linear minus bayes", None, "linear:name or linear:mean"),
        ("linear:name minus bayse", None, "bayes"),
        ("counter", {"p_spv": "1"}, "p_spu"),
        ("counter", {"p_spu": "0.61"}, "0.6"),
        ("drop", {"sigma-spu": "0.7"}, "sigma_spu"),
    ],
)
def test_names_outside_the_table_are_refused(table, what, at, words):
    with pytest.raises(RequestError, match=words):
        arrange(table, what, at)


@st.composite
def tables(draw):
    """Small Datasets of any shape, with gaps, reasons, replicates, routes and words as values."""
    kinds = draw(
        st.lists(st.sampled_from(["linear", "log", "one-minus", "listed", "words"]), max_size=4)
    )
    names = draw(
        st.lists(
            st.sampled_from(["linear", "infonce", "bayes", "own"]),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    prompts = draw(st.sampled_from([["name"], ["mean"], ["name", "mean"]]))
    routes = draw(st.sampled_from([[], ["exact", "drawn"]]))
    replicates = draw(st.sampled_from([0, 1, 3]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coords = {}
    for i, kind in enumerate(kinds):
        values = np.sort(rng.uniform(0.05, 0.95, draw(st.integers(1, 6))))
        words = [f"w{k}" for k in range(len(values))]
        coords[f"x{i}"] = (f"x{i}", words if kind == "words" else values, {"scale": kind})
    without = {"without_prompt": [name for name in names if name in ("bayes", "own")]}
    coords |= {"learner": ("learner", names, without), "prompt": ("prompt", prompts)}
    theory = {name: len(coord[1]) for name, coord in coords.items()}
    cells = theory | ({"route": 2} if routes else {})
    every = cells | ({"replicate": replicates} if replicates else {})

    def drawn(sizes):
        return xr.DataArray(rng.uniform(size=[*sizes.values()]), dims=[*sizes])

    table = xr.Dataset(coords=coords | ({"route": routes} if routes else {}))
    table["legend"] = ("legend", np.array(["", "a", "b"], object))
    table["undefined"] = (drawn(cells) < 0.1) * (1 + (drawn(cells) < 0.5))
    missing = draw(st.sampled_from([0.1, 0.1, 0.1, 1.0]))
    for name in ("common", "counter", "reliance"):
        table[name] = drawn(every).where((table.undefined == 0) & (drawn(cells) >= missing))
        if replicates:
            table[f"predicted_{name}"] = drawn(theory)
            table["predicted_undefined"] = (3 * drawn(theory)).astype(int)
    return table


@pytest.mark.deep
@settings(max_examples=15)
@given(tables(), st.data())
def test_every_cell_of_every_learner_is_drawn(table, data):
    people = [who.spec for who in everyone(table) if who.route in (None, "exact")]
    differences = [f"{a} minus {b}" for a in people for b in people if a != b]
    word = data.draw(st.sampled_from([*PLAIN, *differences]))
    try:
        picture = arrange(table, word)
    except RequestError as error:
        if re.search("panels, more than|nothing to draw|no computed cell", str(error)):
            reject()  # a test of which most tables are refused fails
        raise
    if word in PLAIN:
        axes = [table.sizes[n] for n in table.sizes if n.startswith("x")]
        assert sum(s.data.value.size for s in picture.series) == len(everyone(table)) * int(
            np.prod(axes, dtype=int)
        )
        assert {s.who for s in picture.series} == set(everyone(table))
    assert len(draw(picture).axes) == len(picture.panels) + (picture.kind == "map")


def test_further_groups_of_pixel_worlds_are_drawn_without_a_theory():
    world = World(classes=3, views={"tied": (0, 2)})
    axes = {"p_spu": [0.6, 0.9]}
    recipe = {"towers": "linear", "embed_dim": 2, "batch_size": 16, "steps": 2}
    table = study(
        world, axes, ["supervised"], routes=["trained"], n=32, replicates=2, recipe=recipe
    ).run()
    picture = arrange(table, "rev")
    (series,) = picture.series
    assert np.array_equal(series.data.value, table.rev[:, 0, 0].mean("replicate"))
    assert "predicted" not in series.data
    assert "Rev" in title_of(picture)
    assert any("classes 0, 2" in sentence for sentence in caption(picture))


# Axes: readable ticks, and a suitable scale for listed values


def axis(values, scale="linear"):
    return axis_of(xr.DataArray(values, dims="x", coords={"x": ("x", values, {"scale": scale})}).x)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.1, 0.5, 0.9], "linear"),
        ([0.9, 0.99, 0.999], "one-minus"),
        ([1e2, 1e4, 1e6], "log"),
        ([1.0, 2.0, 3.0], "linear"),
        ([0.0, 1.0, 10.0], "linear"),
        ([3.0, 2.0, 1.0], "linear"),
        ([1e6, 1e4, 1e2], "log"),
        ([0.999, 0.99, 0.9], "one-minus"),
    ],
)
def test_listed_values_get_the_most_even_scale(values, scale):
    assert axis(np.array(values), "listed").scale.name == scale


@given(
    st.sampled_from(["linear", "log", "one-minus"]),
    st.lists(st.floats(1e-6, 1 - 1e-6), min_size=2, max_size=9, unique_by=lambda x: round(x, 7)),
)
def test_ticks_lie_within_the_values(scale, values):
    values = np.sort(values)
    ticks = ticks_of(axis(values, scale))
    assert 1 <= len(ticks) <= MOST_TICKS
    assert np.all((ticks >= values[0] - 1e-9) & (ticks <= values[-1] + 1e-9))


@given(st.floats(1e-6, 1 - 1e-6))
def test_scales_invert(x):
    for scale in SCALES.values():
        assert np.isclose(scale.value(scale.place(x)), x, rtol=1e-9)
