"""Claims of the docket have distinct ids, valid points, finite violations, and the numbers and laws
that they tell.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

from experiments.court.worst_point import corners, probit_violation
from experiments.lab.mitigations import mitigated
from simulator.prompts import prompt_row
from simulator.world import World
from theory.claims.claim import Axis
from theory.docket import combinations, detail, remedies
from theory.docket.catalogue import CLAIMS, TRAINED
from theory.docket.common import REGIME
from theory.docket.related_work import best_source
from theory.docket.subjects import LEAST_SQUARES, LINEAR_NAME, LOGISTIC
from theory.learners import InfoNCE, LinearCLIP
from theory.proofs.expression import NotExpressible
from theory.proofs.identity import digest_of
from theory.proofs.statements import statements

BY_ID = {claim.id: claim for claim in CLAIMS}
RECORD = dict(
    line.split(",")
    for line in (Path(__file__).parents[2] / "verdicts.csv").read_text().splitlines()
)
DECIDED = {claim.id for part in (remedies, combinations, detail) for claim in part.CLAIMS}
EXTREME = {"always": np.nanmax, "somewhere": np.nanmin, "on average": np.nanmean}
# Learners without a formula get few points here: these show only that they evaluate.
SLOW = {"infonce", "bayes", "logistic"}


def cube(d: int, count: int = 16) -> np.ndarray:
    """Corners and uniform points of a unit cube."""
    return np.concatenate([corners(d), np.random.default_rng(0).random((count if d else 0, d))])


def test_ids_are_unique_and_statements_are_sentences():
    assert len(BY_ID) == len(CLAIMS)
    assert all(id == id.strip().lower() and " " not in id for id in BY_ID)
    for claim in (*CLAIMS, *TRAINED):
        assert re.fullmatch(r"[A-Z\[](?!.*%s).*[^ .]\.", claim.statement), claim.id


def test_a_statement_names_the_prompt_of_its_learners():
    for claim in CLAIMS:  # one mode alone gives one rule for every prompt
        prompts = {
            one.prompt
            for one in (claim.subject, claim.against)
            if getattr(one, "embed_dim", 1) != 1
        }
        if named := re.search(r"\((typical appearance|average caption)\b", claim.statement):
            assert {prompt_row(one).words for one in prompts} <= {named[1]}, claim.id


def test_placed_points_lie_in_the_domain():
    for claim in CLAIMS:
        assert np.all(claim.contains(claim.place(cube(len(claim.axes))))), claim.id


UNLIMITED = [
    pytest.param(
        claim, id=claim.id, marks=[pytest.mark.deep] * bool(getattr(claim.subject, "scale", None))
    )
    for claim in CLAIMS
    if not claim.finite
]


@pytest.mark.parametrize("claim", UNLIMITED)
def test_closed_forms_have_values_and_decide_as_the_record_says(claim):
    """Corners and a few points of some parts of the docket suffice for its verdicts."""
    decided = claim.id in DECIDED
    few = SLOW & {rule.name for rule in claim.learners} and not decided
    unit = cube(claim.dimension, 4)[-6:] if few else cube(claim.dimension)
    values = claim.true_violation(claim.relation.points(claim, unit))
    assert values.shape == (len(unit),)
    # A family may not reach a common accuracy, and a curve may be flat: most points are left.
    assert np.mean(~np.isnan(values)) >= (0.6 if claim.quantity.placed else 1)
    assert np.isfinite(values).any()
    if decided:
        assert (EXTREME[claim.quantifier](values) > claim.tau) == (
            RECORD[claim.id] == "contradicted"
        )
    if claim.quantifier == "always" and RECORD[claim.id] in ("supported", "proved"):
        assert np.nanmax(values) <= claim.tau
    probit = probit_violation(claim, claim.place(cube(len(claim.axes))))
    assert probit is None or np.isfinite(probit).all()


def test_the_regime_is_the_papers():
    claim = BY_ID["wang-theorem-6.2-error"]
    point = claim.place(cube(len(claim.axes), 500))
    assert {n for n, a in REGIME.items() if isinstance(a, Axis)} == {
        "sigma_inv",
        "sigma_spu",
        "mu_spu",
        "p_spu",
    }
    assert np.all(point["sigma_spu"] <= point["sigma_inv"])
    assert np.all(point["mu_spu"] >= 1 + point["sigma_inv"] ** 2 / 2)
    assert np.all(point["p_spu"] >= 0.99)


@pytest.mark.parametrize(
    ("id", "number", "ends"),
    [
        ("view-noise", "nu_image", (0, 1)),
        ("paper-condition-sufficient", "p_spu", (0.5, 1)),
        ("dimension-not-needed", "dim_image", (2, 1000)),
    ],
)
def test_a_domain_ends_where_its_statement_says(id, number, ends):
    claim = BY_ID[id]
    values = getattr(claim.at(claim.place(cube(len(claim.axes)))), number)
    assert (values.min(), values.max()) == pytest.approx(ends)


# Laws that claims about remedies and related work compute themselves, and numbers in what claims on
# detail mean


def test_captions_that_name_a_random_background_have_the_law_that_the_claim_uses():
    (claim,) = (c for c in remedies.CLAIMS if c.id == "misstated-not-learned/infonce")
    world = claim.at(claim.place(np.full((1, 2), 0.5)))[0]
    for prompt in ("name", "mean"):
        assert mitigated("contradict", world, InfoNCE(prompt)) == (world, claim.subject)


@pytest.mark.parametrize("prompt", ["name", "mean"])
def test_two_sources_mix_to_the_world_and_the_better_one_counts(prompt):
    learner = LinearCLIP(prompt)
    world = World(p_spu=[0.6, 0.9], mu_spu=1.5)
    low, high = (learner.accuracy(world.replace(p_spu=p)).counter for p in ([0.5, 0.8], [0.7, 1.0]))
    assert best_source(world, learner).tolist() == [
        max(pair) for pair in zip(low, high, strict=True)
    ]


def test_a_second_background_is_part_of_the_world():
    """It is amplified as the claim says, and a proof refuses it."""
    (claim,) = (c for c in remedies.CLAIMS if c.id == "whac-a-mole/logistic")
    (second,) = claim.at(claim.place(np.zeros((1, 0)))).attribute
    assert (float(second.p[0]), second.mu) == (0.98, 1.0)
    other = replace(claim, domain={**claim.domain, "attribute.p": 0.5})
    assert digest_of(claim).sha256 != digest_of(other).sha256
    assert float(
        other.true_violation(other.relation.points(other, np.zeros((1, 0))))[0]
    ) == pytest.approx(0.1)
    with pytest.raises(NotExpressible, match=r"no field 'attribute\.p'"):
        statements(replace(claim, subject="linear"))


def test_the_accuracy_that_a_claim_gives_as_a_number_is_that_of_the_law():
    world = World(**combinations.ONE_WORLD, table=combinations.ONE_HOLE)
    expected = combinations.INFONCE_ON_ONE_HOLE
    assert float(combinations.INFONCE_NAME.accuracy(world).unseen) == pytest.approx(
        expected, abs=3e-4
    )


FIRST_PAGE = World(p_spu=0.9, mu_spu=1.5, sigma_xi=6.0)


def numbers(id: str) -> list[float]:
    """The numbers in what a claim means."""
    (claim,) = (claim for claim in detail.CLAIMS if claim.id == id)
    return [float(each) for each in re.findall(r"(?<![\d.])\d*\.\d+", claim.meaning)]


def same_accuracy(learner, other, vary) -> float:
    """Where between two learners the counter accuracy is the same; `vary` makes the world of a
    number.
    """

    def lead(x: float) -> float:
        return float(learner.accuracy(vary(x)).counter - other.accuracy(vary(x)).counter)

    return brentq(lead, 0, 1)


def test_the_meanings_have_the_numbers_of_the_first_pages_world():
    detailed = lambda g: FIRST_PAGE.replace(detail_inv=g)  # noqa: E731
    without = lambda x: FIRST_PAGE.replace(detail_inv=0.0, p_spu=0.6 + 0.4 * x)  # noqa: E731
    turn = same_accuracy(LINEAR_NAME, LEAST_SQUARES, detailed)
    p = same_accuracy(LINEAR_NAME, LEAST_SQUARES, without)
    assert numbers("detail/order-turns")[2:] == [round(turn, 3), round(0.6 + 0.4 * p, 3)]
    assert numbers("detail/logistic/above") == [
        round(same_accuracy(LINEAR_NAME, LOGISTIC, detailed), 3)
    ]
