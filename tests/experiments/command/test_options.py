"""Options follow the fields of World and Recipe; numbers are read in common notations."""

import inspect
import re
from importlib import import_module
from types import SimpleNamespace
from typing import Annotated, get_type_hints

import pytest
from cyclopts import App, Group, Parameter

from experiments.command.options import flags_of, own_folder, seed, whole
from experiments.errors import RequestError
from simulator.quantities import LARGEST_SEED
from simulator.world import AGREEMENT, SCALE, World


def test_new_fields_become_flags(capsys):
    class Noisier(World):
        p_inv: Annotated[float, *AGREEMENT.spu] = 1.0
        sigma_xi_text: Annotated[float, *SCALE.inv] | None = None

    flags = flags_of(Noisier, Group("World"), without=("attribute", "views"))
    assert set(get_type_hints(flags)) == set(Noisier.model_fields) - {"attribute", "views"}
    app, seen = App(), []

    @app.default
    def verb(world: Annotated[flags, Parameter(name="*")] | None = None):
        seen.append(world)

    app(["--p-inv", "0.5", "--sigma-xi-text", "2"], result_action="return_value")
    app([], result_action="return_value")
    assert seen == [{"p_inv": 0.5, "sigma_xi_text": 2.0}, None]
    app(["--help"], result_action="return_value")
    shown = capsys.readouterr().out
    assert "--sigma-xi-text" in shown
    assert "None" not in shown


def read(converter, text):
    return converter(None, [SimpleNamespace(value=text)])


WHOLE = {"1000": 1000, "1e3": 1000, "1e12": 10**12, "2.0": 2, "-3": -3}


def test_common_notations_of_whole_numbers_are_read():
    assert {text: read(whole, text) for text in WHOLE} == WHOLE


@pytest.mark.parametrize("text", ["2.5", "1e-3", "x", "", "nan", "inf", "1e-99999999"])
def test_text_that_is_not_a_whole_number_is_refused(text):
    with pytest.raises(ValueError, match=f"{re.escape(text)}.* is not a whole number"):
        read(whole, text)


@pytest.mark.parametrize("text", ["1e5000", "1e99999999", "-1e5000", "9" * 5000])
def test_huge_numbers_are_refused_at_once(text):
    """1e5000 has more digits than Python prints, and printing 1e99999999 takes minutes."""
    with pytest.raises(ValueError, match="outside every domain here") as refusal:
        read(whole, text)
    assert len(str(refusal.value)) < 120


def test_a_seed_is_checked_where_it_is_read():
    assert read(seed, str(LARGEST_SEED)) == LARGEST_SEED
    for text in ("-1", str(LARGEST_SEED + 1)):
        with pytest.raises(RequestError, match=f"seed = {text} lies outside"):
            read(seed, text)


def test_a_folder_is_checked_only_if_it_is_given(tmp_path):
    app, seen = App(), []

    @app.default
    def verb(output: own_folder("verb", ["a.json"], "") = None):
        seen.append(output)

    app([], result_action="return_value")
    app(["--output", str(tmp_path)], result_action="return_value")
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(RequestError, match=r"a\.json.* was not written by soberclip verb"):
        app(["--output", str(tmp_path)], result_action="return_value")
    assert seen == [None, tmp_path]


MODULES = ("counteranimal", "embeddings", "finetuning", "ground_truth", "laboratory", "synthetic", "trials")


@pytest.mark.parametrize("module", MODULES)
def test_every_verb_begins_with_the_seed_0_and_prints_a_screen(module):
    verbs = filter(inspect.isfunction, vars(import_module(f"experiments.command.{module}")).values())
    options = [inspect.signature(verb).parameters for verb in verbs if not verb.__name__.startswith("_")]
    given = {"seed": {None if module == "laboratory" else 0}, "json": {False}}  # a study has its own seed
    for name, expected in given.items():
        assert {each[name].default for each in options if name in each} == expected
