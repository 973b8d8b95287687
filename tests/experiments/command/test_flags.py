"""Flags follow the declarations: a field that World or Recipe gains is a flag at once, an optional one too."""

from typing import Annotated, get_type_hints

import pytest
from cyclopts import App, Group, Parameter

from experiments.command.flags import TrainingFlags, TrainingOptions, WorldFlags, WorldOptions, _flags, given
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
    flags = _flags(Noisier, Group("World"), but=("attribute", "views"))
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
