"""The checker imports nothing from the prover, and accepts no bound of a partly undefined formula."""

import ast
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from flint import ctx

from theory import Axis, Claim, sqrt
from theory.proofs import checker
from theory.proofs.certificate import HALVES, Refused, encode
from theory.proofs.checker import BITS, Side, check, covers, holds
from theory.proofs.expression import variable
from theory.proofs.obligations import Inequality, Obligation
from theory.proofs.statements import statements

FILE = Path(checker.__file__)
PROVER = {"boxes", "intervals", "prover"}
u, v = variable("u"), variable("v")


def test_the_checker_imports_nothing_from_the_prover():
    seen, due = set(), {"checker"}
    while due:
        name = due.pop()
        seen.add(name)
        nodes = list(ast.walk(ast.parse((FILE.parent / f"{name}.py").read_text(encoding="utf-8"))))
        whole = [f"{n.module}.{alias.name}" for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names]
        whole += [alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names]
        due |= {w.split(".")[2] for w in whole if w.startswith("theory.proofs.")} - seen
    assert {"certificate", "expression", "obligations", "statements"} <= seen
    assert not seen & PROVER


@pytest.mark.parametrize("second", [0, 32])
def test_a_tree_is_checked_box_by_box(second):
    """f exceeds its limit only above u = .76: boxes below it prove nothing of the rest."""
    due = Obligation("f is small", (Inequality(u * u, Fraction(58, 100)), Inequality(0.7 - u)))
    leaf = [second, HALVES, second, 1]
    with ctx.workprec(BITS):
        assert covers(np.array([HALVES, *leaf], np.uint8), due)
        assert not covers(np.array([HALVES, *leaf[:-1], second], np.uint8), due)
        assert not covers(np.array([HALVES, 1, *leaf[1:]], np.uint8), due)
        assert not covers(np.array(leaf, np.uint8), due)


def seen_bounded(f, bound: float, second: bool = False) -> bool:
    """Whether the checker shows f <= bound on the whole cube as one box."""
    side = Side(Inequality(f, Fraction(bound)), ["u", "v"])
    with ctx.workprec(BITS):
        return holds(side, second, np.zeros((2, 1)), np.ones((2, 1)))


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize(
    ("f", "most"),
    [(u * (1 - u) * v, 0.25), (v / (1 + u), 1.0), (np.sqrt(1 + u) - v, np.sqrt(2.0)), ((u - v) ** 3, 1.0)],
)
def test_true_bounds_are_shown_and_false_ones_are_not(f, most, second):
    assert seen_bounded(f, most + 1e-3, second)
    assert not seen_bounded(f, most - 1e-3, second)


@pytest.mark.parametrize("f", [1 / (u - 0.3), 1 / (u - 0.3) ** 2, np.log(u - 0.1), v + 1 / (u - u)])
def test_no_bound_holds_for_a_partly_undefined_formula(f):
    """An undefined slope must not count as 0: with slope 0, the value at the centre would bound the box."""
    assert not seen_bounded(f, 1e9)
    assert not seen_bounded(f, 1e9, second=True)


def test_a_bound_does_not_show_that_a_root_has_a_value():
    """A root's bound holds for the part of the box where it has a value; another obligation is about the rest."""
    claim = Claim(
        id="partly", source="test", statement="", quantity="reliance", relation="<=",
        domain={"p_spu": 0.9, "mu_spu": Axis(1.0, 3.0)}, prediction=lambda w: 100 + sqrt(w.mu_spu - 1.5) ** 2,
    )  # fmt: skip
    due = statements(claim)
    with pytest.raises(Refused, match="does not show that its formula has a value"):
        check(encode(claim, due, [[np.zeros(1, np.uint8), *["way 0"] * (len(due[0].obligations) - 1)]]), claim)
