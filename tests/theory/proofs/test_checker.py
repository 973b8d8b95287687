"""The checker trusts only the claim: it refuses forged certificates, and imports nothing from the
prover.
"""

import ast
import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from closed_form import claim, truth
from flint import ctx

from theory import Axis, sqrt
from theory.docket.catalogue import CLAIMS
from theory.proofs import checker
from theory.proofs.certificate import HALVES, MARK, SECOND, Refused, encode, read
from theory.proofs.checker import BITS, Side, check, covers, holds
from theory.proofs.expression import variable
from theory.proofs.obligations import Inequality, Obligation
from theory.proofs.prover import prove
from theory.proofs.statements import statements

FILE = Path(checker.__file__)
PROVER = {"boxes", "intervals", "prover"}
u = variable("u")
v = variable("v")


def test_the_checker_imports_nothing_from_the_prover():
    seen = set()
    due = {"checker"}
    while due:
        name = due.pop()
        seen.add(name)
        nodes = list(ast.walk(ast.parse((FILE.parent / f"{name}.py").read_text(encoding="utf-8"))))
        whole = [
            f"{n.module}.{alias.name}"
            for n in nodes
            if isinstance(n, ast.ImportFrom)
            for alias in n.names
        ]
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
    [
        (u * (1 - u) * v, 0.25),
        (v / (1 + u), 1.0),
        (np.sqrt(1 + u) - v, np.sqrt(2.0)),
        ((u - v) ** 3, 1.0),
    ],
)
def test_true_bounds_are_shown_and_false_ones_are_not(f, most, second):
    assert seen_bounded(f, most + 1e-3, second)
    assert not seen_bounded(f, most - 1e-3, second)


@pytest.mark.parametrize("f", [1 / (u - 0.3), 1 / (u - 0.3) ** 2, np.log(u - 0.1), v + 1 / (u - u)])
def test_no_bound_holds_for_a_partly_undefined_formula(f):
    """An undefined slope must not count as 0: with slope 0, the value at the centre would bound the
    box.
    """
    assert not seen_bounded(f, 1e9)
    assert not seen_bounded(f, 1e9, second=True)


def test_a_bound_does_not_show_that_a_root_has_a_value():
    """A root's bound holds for the part of the box where it has a value; another obligation is
    about the rest.
    """
    partly = claim(
        quantity="reliance",
        relation="<=",
        domain={"p_spu": 0.9, "mu_spu": Axis(1.0, 3.0)},
        prediction=lambda w: 100 + sqrt(w.mu_spu - 1.5) ** 2,
    )
    due = statements(partly)
    with pytest.raises(Refused, match="does not show that its formula has a value"):
        check(
            encode(
                partly, due, [[np.zeros(1, np.uint8), *["way 0"] * (len(due[0].obligations) - 1)]]
            ),
            partly,
        )


CLAIM = claim(
    domain={
        "sigma_xi": 0.0,
        "p_spu": Axis(0.6, 0.9),
        "mu_spu": Axis(0.5, 2.0),
        "sigma_spu": Axis(0.1, 1.0),
    },
    prediction=lambda w: 0.5785 - 0.2 * (w.mu_spu - 0.5),
)


def test_true_by_half_of_tau_is_proved_and_false_by_half_of_tau_is_refuted():
    """Constants are compared on the scale of accuracies, where the limit is tau."""
    constant = replace(
        CLAIM,
        quantity="balanced",
        domain={"p_spu": 0.5, "sigma_xi": 0.0, "sigma_inv": Axis(1.0, 1.01)},
    )
    level = truth(constant, constant.at(constant.place(np.array([0.0])))).item()
    near = replace(constant, relation="<=", prediction=lambda w: level - 0.0025)
    assert prove(near, seconds=5).outcome == "proved"
    assert prove(replace(near, prediction=lambda w: level - 0.0075)).outcome == "refuted"


@pytest.fixture(scope="module")
def tree() -> np.ndarray:
    proof = prove(CLAIM, seconds=5)
    assert proof.outcome == "proved", proof.reason
    (found, *_), _ = read(proof.certificate, CLAIM, statements(CLAIM))
    return found


def settled_by(by: np.ndarray | str) -> bytes:
    """A certificate that settles the claim's inequality by this tree or this route."""
    routes = json.loads(prove(CLAIM, seconds=5).certificate.split(b"\n", 2)[1])["cases"][0]["by"]
    return encode(CLAIM, statements(CLAIM), [[by, *routes[1:]]])


def test_a_true_certificate_passes(tree):
    leaves = int((tree < HALVES).sum())
    assert leaves >= 6
    assert check(settled_by(tree), CLAIM) == ("proved", leaves)


def changed(tree: np.ndarray, place: int, code: int) -> np.ndarray:
    return np.where(np.arange(len(tree)) == place, np.uint8(code), tree)


@pytest.mark.parametrize(
    "lie",
    [
        lambda t: t[:-1],
        lambda t: np.append(t, np.uint8(0)),
        lambda t: np.delete(t, 2),
        lambda t: changed(t, 0, HALVES + 3),  # no such coordinate
        lambda t: changed(t, len(t) - 1, 1),  # no such alternative
        lambda t: changed(t, len(t) - 1, SECOND + 1),
        lambda t: changed(t, len(t) - 1, HALVES),  # halves without an end
        lambda t: np.tile(np.array([HALVES], np.uint8), 64),
    ],
)
def test_forged_trees_are_caught(tree, lie):
    with pytest.raises(Refused):
        check(settled_by(lie(tree)), CLAIM)


@pytest.mark.parametrize("route", ["way 0", "no such way"])
def test_invalid_exact_routes_are_caught(route):
    with pytest.raises(Refused, match="does not show that"):
        check(settled_by(route), CLAIM)


def test_a_certificate_fits_one_claim_with_one_tolerance(tree):
    for other in (
        replace(CLAIM, tolerance=0.004),
        replace(CLAIM, relation="<="),
        replace(CLAIM, prediction=lambda w: 0.5),
        replace(CLAIM, domain={**CLAIM.domain, "mu_spu": Axis(0.5, 2.1)}),
    ):
        with pytest.raises(Refused, match="other formulas"):
            check(settled_by(tree), other)


def test_another_version_is_named(tree):
    with pytest.raises(Refused, match="has version 2, and this program reads version 3"):
        check(MARK + b"2" + settled_by(tree)[len(MARK) + 1 :], CLAIM)


CORNER = dict.fromkeys(("p_spu", "sigma_inv", "sigma_spu", "mu_spu"), "0")  # where the claim fails


@pytest.mark.parametrize(
    "change",
    [
        {"coordinates": {}},
        {"violation": 1},
        {"case": 3},
        {"coordinates": CORNER | {"p_spu": str(2**64)}},  # p = 1, where the claim holds
        {"coordinates": CORNER | {"mu_spu": "-1"}},  # it fails there, too, but outside its domain
        {"coordinates": CORNER | {"sigma_inv": str(2**64 + 1)}},
    ],
)
def test_invalid_counterexamples_are_caught(change):
    own = next(one for one in CLAIMS if one.id == "paper-condition-sufficient")
    data = prove(own).certificate
    first, line, _ = data.split(b"\n", 2)
    header = json.loads(line)
    header["counterexample"].update(change)
    with pytest.raises(Refused, match="its counterexample does not violate"):
        check(first + b"\n" + json.dumps(header).encode() + b"\n", own)
