"""The checker refuses every forged certificate; it trusts only the claim."""

import json
from dataclasses import replace

import numpy as np
import pytest

from theory.claims.catalogue import CLAIMS
from theory.claims.claim import Axis, Claim
from theory.proofs.certificate import MARK, Listed, Refused, encode, read
from theory.proofs.checker import check
from theory.proofs.prover import prove
from theory.proofs.statements import PROBIT, statements

CLAIM = Claim(
    id="mine",
    source="test",
    statement="",
    quantity="counter",
    relation=">=",
    domain={"sigma_xi": 0.0, "p_spu": Axis(0.6, 0.9), "mu_spu": Axis(0.5, 2.0), "sigma_spu": Axis(0.1, 1.0)},
    prediction=lambda w: 0.5785 - 0.2 * (w.mu_spu - 0.5),
)
BY_ID = {claim.id: claim for claim in CLAIMS}


def test_the_scale_of_scores_allows_no_more_than_tau():
    """Phi rises by 1/sqrt(2 pi) at most."""
    assert float(PROBIT) / np.sqrt(2 * np.pi) <= 1


def test_true_by_half_of_tau_is_proved_and_false_by_half_of_tau_is_refuted():
    """Constants are compared on the scale of accuracies, where the limit is tau."""
    constant = replace(CLAIM, quantity="balanced", domain={"p_spu": 0.5, "sigma_xi": 0.0, "sigma_inv": Axis(1.0, 1.01)})
    level = float(constant.truth(constant.worlds(np.array([0.0]))))
    near = replace(constant, relation="<=", prediction=lambda w: level - 0.0025)
    assert prove(near, seconds=5).outcome == "proved"
    assert prove(replace(near, prediction=lambda w: level - 0.0075)).outcome == "refuted"


@pytest.fixture(scope="module")
def boxes() -> Listed:
    proof = prove(CLAIM, seconds=5)
    assert proof.outcome == "proved", proof.reason
    ((found, *_), _) = read(proof.certificate, CLAIM, statements(CLAIM))
    return found


def settled_by(by: Listed | str) -> bytes:
    """A certificate that settles the claim's inequality by these boxes or this route."""
    routes = json.loads(prove(CLAIM, seconds=5).certificate.split(b"\n", 2)[1])["cases"][0]["by"]
    return encode(CLAIM, statements(CLAIM), [[by, *routes[1:]]])


def test_a_true_certificate_passes(boxes):
    assert len(boxes.bound) >= 6
    assert check(settled_by(boxes), CLAIM) == ("proved", len(boxes.bound))


def moved(boxes: Listed) -> Listed:
    index = boxes.index.copy()
    index[3, 0] ^= 1
    return boxes._replace(index=index)


def larger(boxes: Listed) -> Listed:
    """The first box also covers its neighbour, so that both overlap."""
    level, index = boxes.level.copy(), boxes.index.copy()
    axis = int(level[0].argmax())
    level[0, axis] -= 1
    index[0, axis] >>= np.uint64(1)
    return boxes._replace(level=level, index=index)


@pytest.mark.parametrize(
    "lie",
    [
        lambda b: Listed(*(np.delete(part, 2, axis=0) for part in b)),
        lambda b: Listed(*(np.insert(part, 2, part[2], axis=0) for part in b)),
        moved,
        larger,
        lambda b: b._replace(bound=b.bound - 1.0),  # below the true bound
        lambda b: b._replace(bound=b.bound + 1.0),  # above the limit
        lambda b: b._replace(bound=np.full_like(b.bound, np.nan)),
        lambda b: b._replace(bound=np.full_like(b.bound, -np.inf)),
        lambda b: b._replace(alternative=b.alternative + np.uint8(1)),
        lambda b: b._replace(level=np.zeros_like(b.level), index=np.zeros_like(b.index)),
        lambda b: b._replace(level=b.level + np.uint8(60)),
    ],
)
def test_forged_boxes_are_caught(boxes, lie):
    with pytest.raises(Refused):
        check(settled_by(lie(boxes)), CLAIM)


@pytest.mark.parametrize("route", ["way 0", "no such way"])
def test_invalid_exact_routes_are_caught(route):
    with pytest.raises(Refused, match="does not show that"):
        check(settled_by(route), CLAIM)


def test_a_certificate_fits_one_claim_with_one_tolerance(boxes):
    for other in (
        replace(CLAIM, tolerance=0.004),
        replace(CLAIM, relation="<="),
        replace(CLAIM, prediction=lambda w: 0.5),
        replace(CLAIM, domain={**CLAIM.domain, "mu_spu": Axis(0.5, 2.1)}),
    ):
        with pytest.raises(Refused, match="other formulas"):
            check(settled_by(boxes), other)


def test_another_version_is_named(boxes):
    with pytest.raises(Refused, match="has version 1, and this program reads version 2"):
        check(MARK + b"1" + settled_by(boxes)[len(MARK) + 1 :], CLAIM)


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
    claim = BY_ID["paper-condition-sufficient"]
    data = prove(claim).certificate
    first, line, _ = data.split(b"\n", 2)
    header = json.loads(line)
    header["counterexample"].update(change)
    if change.get("coordinates") and "0" in change["coordinates"].get("mu_spu", ""):
        header["counterexample"]["coordinates"]["p_spu"] = str(2**64)  # p = 1, where the claim holds
    with pytest.raises(Refused, match="its counterexample does not violate"):
        check(first + b"\n" + json.dumps(header).encode() + b"\n", claim)
