"""Options follow the fields of World and Recipe; numbers are read in common notations."""

import re
from types import SimpleNamespace
from typing import Annotated, get_type_hints

import pytest
from cyclopts import App, Group, Parameter

from experiments.command.options import flags_of, whole
from simulator.world import AGREEMENT, SCALE, World


def test_new_fields_become_flags(capsys):
    class Noisier(World):
        p_inv: Annotated[float, *AGREEMENT["spu"]] = 1.0
        sigma_xi_text: Annotated[float, *SCALE["inv"]] | None = None

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


@pytest.mark.parametrize(
    "text", ["2.5", "1e-3", "x", "", "nan", "inf", "1e-99999999", "1e5000", "-1e99999999", "9" * 5000]
)
def test_text_that_is_not_a_whole_number_is_refused(text):
    """1e5000 has more digits than Python prints, and printing 1e99999999 takes minutes."""
    with pytest.raises(ValueError, match=re.escape(text[:6] or repr(text))) as refusal:
        read(whole, text)
    assert len(str(refusal.value)) < 120
