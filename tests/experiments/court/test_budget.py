"""Every measurement has a budget of memory and of time, or one sentence that says what would be
needed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import ClassVar

import numpy as np
import pytest
from closed_form import truth

from experiments.court.arms import OF_RULES, arms_at
from experiments.court.budget import MEMORY, MOST_DRAWN
from experiments.court.trial import judge
from experiments.errors import RequestError
from experiments.finite_samples import Unmeasurable
from theory import learners
from theory.claims.claim import Claim
from theory.claims.quantities import QUANTITIES
from theory.claims.relations import single
from theory.docket.catalogue import CLAIMS
from theory.learners import Bayes, InfoNCE, LinearCLIP, Logistic

SUBJECTS = (
    *map(learners.named, learners.names()),
    LinearCLIP("mean", 1),
    LinearCLIP("mean", projected=True),
)
POINT = {"p_spu": 0.88, "mu_spu": 1.7, "sigma_inv": 1.1, "sigma_spu": 0.6, "sigma_xi": 1.0}
FURTHER = {
    "operator-error": {"reference": lambda w: np.broadcast_to(np.eye(2), (*w.shape, 2, 2))},
    "effective-robustness": {"against": Logistic()},
    "unseen": {"table": "compositional(2, 3, 1)"},
}


def claim(quantity: str, subject, n: int | None = None, **domain) -> Claim:
    fields = {**POINT, **domain}
    if quantity == "unseen":
        del fields["p_spu"]
    given = {} if n is None else {"n": n}
    own = {
        "id": "mine",
        "source": "me",
        "statement": "So it is.",
        "quantity": quantity,
        "relation": "=",
    }
    return Claim(**{**own, **given, **FURTHER.get(quantity, {})}, subject=subject, domain=fields)


def claims() -> Iterator[Claim]:
    """All quantities and learners, few and unlimited pairs, narrow and wide views; pairs of
    learners; the docket.
    """
    for quantity, subject, n, d in product(QUANTITIES, SUBJECTS, (50, None), (64, 1400)):
        yield claim(quantity, subject, n, dim_image=d, dim_text=d)
    for pair, quantity, p in product(
        combinations(SUBJECTS, 2), ("counter", "shortfall"), (0.88, 1 - 1e-5)
    ):
        yield replace(claim(quantity, pair[0], p_spu=p), against=pair[1])
    yield from CLAIMS


def test_every_arm_is_within_the_budget_or_says_what_is_needed():
    """Bounds of too few values decide nothing, so the most values are at least the fewest."""
    planned = set()
    refused = {}
    combined = set()
    for mine, drawn in product(claims(), (False, True)):
        unit = np.full((1, mine.dimension), 0.5)
        if mine.relation.further:  # x < x'
            unit[0, -1] = 0.6
        try:
            arms = arms_at(mine, single(mine.relation.points(mine, unit), 0), drawn)
        except (Unmeasurable, RequestError) as error:
            refused[mine.quantity] = str(error)
            continue
        routes = frozenset(arm.route for arm in arms.every)
        planned.add(mine.quantity)
        combined.add(routes)
        assert arms.effort.most >= arms.effort.fewest >= (32 if "even images" in routes else 8)
        for arm in arms.every:
            if arm.route in OF_RULES:
                assert mine.quantity.of_accuracies, "a rule on images has accuracies alone"
            elif arm.route == "drawn pairs":
                assert arm.n <= MOST_DRAWN
                assert 8 * arm.n * (arm.world.dim_image + arm.world.dim_text) * 4 <= MEMORY
    assert planned == {*QUANTITIES.values()}
    assert planned - refused.keys() <= {quantity for quantity in planned if quantity.of_accuracies}
    assert not any("\n" in words for words in refused.values())
    assert len(combined) >= 9


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        (
            claim("reliance", "max-margin"),
            "'max-margin' is not fitted to pairs at n = infinity.*a finite n has",
        ),
        (claim("operator-error", "max-margin"), "answers on images show no operator-error"),
        (
            claim("reliance", InfoNCE("mean")),
            "'infonce' is not fitted to pairs, and answers on images show no rel",
        ),
        (
            claim("counter", LinearCLIP("mean", 1), 50, dim_image=4096),
            r"covariances of 4096 x 4096 .* have 1357 x",
        ),
        (
            claim("counter", "logistic", p_spu=1 - 1e-5),
            r"5.0e\+07 pairs .* which take 6 GB; the limit is 1 GB",
        ),
        (
            claim("counter", "logistic", classes=20, p_spu=0.9995),
            r"1.0e\+06 pairs .* which take .* GB; the limit is 1 GB",
        ),
    ],
    ids=["max-margin", "operator-error", "infonce", "wide", "rare", "classes"],
)
def test_a_measurement_beyond_the_budget_is_refused_in_one_sentence(mine, words):
    with pytest.raises(Unmeasurable) as refusal:
        arms_at(mine, dict(mine.domain))
    assert re.search(words, str(refusal.value)), str(refusal.value)


def test_an_exact_law_of_many_pairs_draws_none():
    """The law of 10^10 pairs takes no longer than that of 100, so it leaves the other learner its
    values.
    """
    # too rare for drawn pairs
    at = {"p_spu": 0.9999, "mu_spu": 1.5, "sigma_xi": 1.0, "dim_image": 2, "dim_text": 2}
    mine = claim("equivalent-correlation", Bayes(), **at)
    mine = replace(mine, against=LinearCLIP(), relation="<=", domain=at)
    wrong = replace(mine, prediction=lambda w: truth(mine, w) - 2 * mine.tau)
    assert arms_at(wrong, at).effort.most > 1000
    found = judge(wrong, quick=True)
    assert (found.verdict, found.route) == ("contradicted", "even images and exact law")
    assert found.replicates >= 32


@dataclass(frozen=True)
class Lawful(LinearCLIP):
    """A user's rule with answers on images and an exact law of n pairs, and no estimator."""

    name: ClassVar[str] = "lawful"
    estimator: ClassVar[None] = None
    on_images: ClassVar[bool] = True


@pytest.mark.parametrize("subject", [learners.named("max-margin"), LinearCLIP(), Lawful()])
def test_a_claim_about_n_pairs_is_measured_by_training(subject):
    """Also for a learner whose own rule has answers on images: that rule is the limit of many
    pairs.
    """
    at = {name: POINT[name] for name in POINT}
    for drawn in (False, True):
        (few,) = arms_at(claim("counter", subject, 50), at, drawn).every
        (many,) = arms_at(claim("counter", subject, None), at, drawn).every
        assert few.route not in OF_RULES
        assert (many.route in OF_RULES) == ("images" in subject.routes())
