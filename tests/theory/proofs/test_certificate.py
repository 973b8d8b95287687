"""The checker refuses every forged certificate; it trusts only the claim."""

import json
from dataclasses import replace

import numpy as np
import pytest
from closed_form import claim, truth

from theory.claims.claim import Axis
from theory.docket.catalogue import CLAIMS
from theory.proofs.certificate import HALVES, MARK, SECOND, Refused, encode, read
from theory.proofs.checker import check
from theory.proofs.prover import prove
from theory.proofs.statements import statements

CLAIM = claim(
    domain={"sigma_xi": 0.0, "p_spu": Axis(0.6, 0.9), "mu_spu": Axis(0.5, 2.0), "sigma_spu": Axis(0.1, 1.0)},
    prediction=lambda w: 0.5785 - 0.2 * (w.mu_spu - 0.5),
)
BY_ID = {one.id: one for one in CLAIMS}


def test_true_by_half_of_tau_is_proved_and_false_by_half_of_tau_is_refuted():
    """Constants are compared on the scale of accuracies, where the limit is tau."""
    constant = replace(CLAIM, quantity="balanced", domain={"p_spu": 0.5, "sigma_xi": 0.0, "sigma_inv": Axis(1.0, 1.01)})
    level = truth(constant, constant.at(constant.place(np.array([0.0])))).item()
    near = replace(constant, relation="<=", prediction=lambda w: level - 0.0025)
    assert prove(near, seconds=5).outcome == "proved"
    assert prove(replace(near, prediction=lambda w: level - 0.0075)).outcome == "refuted"


@pytest.fixture(scope="module")
def tree() -> np.ndarray:
    proof = prove(CLAIM, seconds=5)
    assert proof.outcome == "proved", proof.reason
    ((found, *_), _) = read(proof.certificate, CLAIM, statements(CLAIM))
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


@pytest.mark.parametrize(
    "change",
    [
        {"coordinates": {}},
        {"violation": 1},
        {"case": 3},
        {"coordinates": {"p_spu": "0", "sigma_inv": "0", "sigma_spu": "0", "mu_spu": "0"}},
        {"coordinates": {"p_spu": str(2**65), "sigma_inv": "0", "sigma_spu": "0", "mu_spu": str(2**63)}},
    ],
)
def test_invalid_counterexamples_are_caught(change):
    own = BY_ID["paper-condition-sufficient"]
    data = prove(own).certificate
    first, line, _ = data.split(b"\n", 2)
    header = json.loads(line)
    header["counterexample"].update(change)
    if change.get("coordinates") and "0" in change["coordinates"].get("mu_spu", ""):
        header["counterexample"]["coordinates"]["p_spu"] = str(2**64)  # p = 1, where the claim holds
    with pytest.raises(Refused, match="its counterexample does not violate"):
        check(first + b"\n" + json.dumps(header).encode() + b"\n", own)
