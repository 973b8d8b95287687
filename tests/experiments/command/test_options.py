"""Options follow the declarations of World and Recipe, and numbers are read as people write them."""

from time import perf_counter
from types import SimpleNamespace
from typing import Annotated, get_type_hints

import pytest
from cyclopts import App, Group, Parameter

from experiments.command.options import (
    TrainingFlags,
    TrainingOptions,
    WorldFlags,
    WorldOptions,
    flags_of,
    given,
    real,
    whole,
)
from simulator import quantities as q
from simulator.towers.recipe import Recipe
from simulator.world import World


class Noisier(World):
    """A world with a further number, and one that is absent unless it is given."""

    p_inv: q.SpuriousCorrelation = 1.0
    sigma_xi_text: q.ViewNoise | None = None


def test_every_field_is_a_flag():
    assert set(get_type_hints(WorldFlags)) == set(World.model_fields) - {"attribute", "views"}
    assert set(get_type_hints(TrainingFlags)) == set(Recipe.model_fields)


def test_new_fields_are_flags_by_themselves(capsys):
    flags = flags_of(Noisier, Group("World"), without=("attribute", "views"))
    app, seen = App(), []

    @app.default
    def verb(world: Annotated[flags, Parameter(name="*")] | None = None):
        seen.append(given(world))

    app(["--p-inv", "0.5", "--sigma-xi-text", "2"], result_action="return_value")
    app([], result_action="return_value")
    assert seen == [{"p_inv": 0.5, "sigma_xi_text": 2.0}, {}]
    app(["--help"], result_action="return_value")
    shown = capsys.readouterr().out
    assert "--sigma-xi-text" in shown
    assert "None" not in shown


@pytest.mark.parametrize(
    ("options", "words", "value"),
    [
        (WorldOptions, ["--dim-image", "1e3", "--p-spu", "1"], {"dim_image": 1000, "p_spu": 1.0}),
        (
            TrainingOptions,
            ["--n", "1e6", "--clip", "2", "--loss", "siglip"],
            {"n": 10**6, "clip": 2.0, "loss": "siglip"},
        ),
        (TrainingOptions, [], {}),
    ],
)
def test_given_flags_and_no_others(options, words, value):
    app, seen = App(), []

    @app.default
    def verb(flags: options | None = None):
        seen.append(given(flags))

    app(words, result_action="return_value")
    assert seen == [value]


def read(converter, text):
    return converter(None, [SimpleNamespace(value=text)])


@pytest.mark.parametrize(("text", "value"), [("1000", 1000), ("1e3", 1000), ("1e12", 10**12), ("2.0", 2), ("-3", -3)])
def test_whole_numbers(text, value):
    assert read(whole, text) == value


@pytest.mark.parametrize("text", ["2.5", "1e-3", "x", "", "nan", "inf", "1e-99999999"])
def test_what_is_not_whole_is_refused(text):
    with pytest.raises(ValueError, match="is not a whole number"):
        read(whole, text)


@pytest.mark.parametrize("text", ["1e5000", "1e99999999", "-1e5000", "9" * 5000])
@pytest.mark.parametrize("converter", [whole, real])
def test_numbers_beyond_all_use_are_refused_at_once(converter, text):
    """int("1e5000") has more digits than Python prints, and 1e99999999 takes minutes to write out."""
    began = perf_counter()
    with pytest.raises(ValueError, match="outside every domain here") as refusal:
        read(converter, text)
    assert len(str(refusal.value)) < 120
    assert perf_counter() - began < 1


@pytest.mark.parametrize(("text", "value"), [("0.9", 0.9), ("1e-5", 1e-5), ("-inf", float("-inf")), (".1", 0.1)])
def test_reals(text, value):
    assert read(real, text) == value


@pytest.mark.parametrize("text", ["high", "0,9", "1/2"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="is not a number"):
        read(real, text)
