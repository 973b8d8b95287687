"""The checker imports nothing from the prover, and accepts no bound of a partly undefined formula."""

import ast
from pathlib import Path

import numpy as np
import pytest
from flint import ctx

from theory import Axis, Claim, sqrt
from theory.proofs import checker
from theory.proofs.certificate import Listed, Refused, encode
from theory.proofs.checker import BITS, bound_holds, check, fills, gradient
from theory.proofs.expression import variable
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


def filled(level: list, index: list) -> bool:
    return fills(np.array(level, np.uint8), np.array(index, np.uint64))


def test_filling_is_exact():
    assert filled([[1], [1]], [[0], [1]])
    assert not filled([[1]], [[0]])
    assert not filled([[1], [1]], [[0], [0]])
    assert not filled([[1], [1]], [[1], [0]])
    assert not filled([[1], [1]], [[0], [2]])
    assert not filled([[1], [1], [1]], [[0], [1], [1]])
    assert not filled([[1], [2]], [[0], [2]])
    assert not filled([[1], [2], [2]], [[0], [3], [2]])  # not in the order of a tree
    assert not filled([[2], [2], [1]], [[1], [2], [1]])  # neighbours, but not halves of one box
    assert not filled([[2], [2], [2]], [[0], [1], [2]])
    assert filled([[1, 0], [1, 1], [1, 1]], [[0, 0], [1, 0], [1, 1]])
    assert not filled([[1, 1], [1, 1]], [[0, 0], [1, 1]])


def seen_bounded(f, bound: float) -> bool:
    """Whether the checker shows f <= bound on the whole cube as one box."""
    low, high = np.zeros((2, 1)), np.ones((2, 1))
    with ctx.workprec(BITS):
        return bound_holds([f, *gradient(f, ["u", "v"])], ["u", "v"], low, high, np.array([bound]))


@pytest.mark.parametrize(
    ("f", "most"),
    [(u * (1 - u) * v, 0.25), (v / (1 + u), 1.0), (np.sqrt(1 + u) - v, np.sqrt(2.0)), ((u - v) ** 3, 1.0)],
)
def test_true_bounds_are_shown_and_false_ones_are_not(f, most):
    assert seen_bounded(f, most + 1e-3)
    assert not seen_bounded(f, most - 1e-3)


@pytest.mark.parametrize("f", [1 / (u - 0.3), 1 / (u - 0.3) ** 2, np.log(u - 0.1), v + 1 / (u - u)])
def test_no_bound_holds_for_a_partly_undefined_formula(f):
    """An undefined slope must not count as 0: with slope 0, the value at the centre would bound the box."""
    assert not seen_bounded(f, 1e9)


def test_a_bound_does_not_show_that_a_root_has_a_value():
    """A root's bound holds for the part of the box where it has a value; another obligation is about the rest."""
    claim = Claim(
        id="partly", source="test", statement="", quantity="reliance", relation="<=",
        domain={"p_spu": 0.9, "mu_spu": Axis(1.0, 3.0)}, prediction=lambda w: 100 + sqrt(w.mu_spu - 1.5) ** 2,
    )  # fmt: skip
    due = statements(claim)
    box = Listed(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint64), np.zeros(1, np.uint8), np.zeros(1))
    with pytest.raises(Refused, match="does not show that its formula has a value"):
        check(encode(claim, due, [[box, *["way 0"] * (len(due[0].obligations) - 1)]]), claim)
