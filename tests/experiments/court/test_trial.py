"""The judge: claims of the catalogue, their false twins, and the reported evidence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from closed_form import claim

from experiments.court import budget, trial
from experiments.court import measured as measuring
from experiments.court.arms import Arms, arms_at
from experiments.court.trial import judge
from experiments.court.worst_point import Worst, by_formula, by_measurement
from theory.claims.claim import Axis, Claim
from theory.docket.catalogue import CLAIMS
from theory.learners import LeastSquares, LinearCLIP, Logistic

CATALOGUE = {one.id: one for one in CLAIMS}
RECORD = dict(
    line.split(",")
    for line in (Path(__file__).parents[2] / "verdicts.csv").read_text().splitlines()
)
CONTRADICTED = {id for id in CATALOGUE if RECORD[id] == "contradicted"}
# Slow: a quadrature, a place on a curve, a fit to drawn pairs, a share of trainings, many classes
# or whole numbers.
SLOW = {"infonce", "siglip", "bayes", "logistic"}


def tried_in_the_suite() -> set[str]:
    """The first claim of every relation and subject, without slow ones; the deep runs try all."""
    found: dict[tuple, str] = {}
    for one in CLAIMS:
        names = tuple(rule.name for rule in one.learners)
        slow = SLOW & set(names) or one.quantity.placed
        if not (slow or one.finite or "classes" in (*one.domain, one.along)):
            found.setdefault((one.relation, names[0]), one.id)
    return set(found.values())


QUICK = tried_in_the_suite()


@pytest.mark.parametrize("name", sorted(QUICK))
def test_verdicts_of_the_catalogue(name):
    """The deep run of the main job (`tests/test_readme.py`) compares every verdict with the
    record.
    """
    assert judge(CATALOGUE[name], quick=True).verdict == (
        "contradicted" if name in CONTRADICTED else "supported"
    )


# Other quantifiers: test_quantified.py. Twins of proved claims: theory/proofs/test_prover.py.
# Three twins take 20 s or more; other twins try the same quantity and relation.
SLOWEST = ("equivalent/linear-shortfall", "whac-a-mole/logistic", "rate")
# one claim of each quantity, relation, number of pairs and learners
MEASURED: dict[tuple, str] = {}
for one in CLAIMS:
    if (
        one.quantifier == "always"
        and RECORD[one.id] == "supported"
        and one.id not in {*QUICK, *SLOWEST}
    ):
        names = tuple(rule.name for rule in one.learners)
        MEASURED.setdefault(
            (one.quantity.name, one.relation, one.n, one.share is None, names), one.id
        )
TWINS = [pytest.param(id, marks=pytest.mark.deep) for id in MEASURED.values()]


@pytest.mark.parametrize("name", [*sorted(QUICK - CONTRADICTED), *TWINS])
def test_a_false_twin_is_contradicted(name, monkeypatch):
    twin, worst = false_twin(CATALOGUE[name])
    # A search by measurement takes seconds.
    monkeypatch.setattr(trial, "by_measurement", lambda *_: worst._replace(violation=3 * twin.tau))
    assert judge(twin, quick=True).verdict == "contradicted"


def false_twin(claim: Claim) -> tuple[Claim, Worst]:
    """The claim, its prediction shifted 3 tau beyond the truth at the worst point of the search,
    and this point.
    """
    # where the mean fails, most trainings do
    mean = claim if claim.share is None else replace(claim, share=None)
    worst = (by_measurement if mean.finite else by_formula)(mean, 0)
    shift = 3 * mean.tau - min(worst.violation, 0.0)
    if claim.relation.name == "iff":
        edge = claim.threshold
        return (
            replace(claim, threshold=lambda x: (edge(x) if callable(edge) else edge) + shift),
            worst,
        )
    sign = -1 if claim.relation.name == "<=" else 1
    return replace(claim, prediction=lambda x: claim.prediction(x) + sign * shift), worst


def test_evidence_is_complete_and_repeats():
    first, second = (judge(CATALOGUE["wang-lemma-d3"], quick=True, seed=3) for _ in range(2))
    assert replace(first, seconds=0.0) == replace(second, seconds=0.0)
    assert first.route == "drawn pairs"
    assert first.counterexample == first.point
    assert first.interval[0] < first.measured < first.interval[1]
    assert first.interval[0] - first.predicted > first.tau
    assert CATALOGUE["wang-lemma-d3"].contains(first.counterexample)
    assert set(first.as_json()) >= {
        "claim",
        "source",
        "statement",
        "verdict",
        "predicted",
        "measured",
        "seconds",
    }


@pytest.mark.parametrize(("level", "verdict"), [(0.0, "supported"), (1.0, "contradicted")])
def test_one_world_is_evaluated_once_and_its_prediction_a_few_times(monkeypatch, level, verdict):
    """Either may take seconds. A p-value has forty bounds, which once had a prediction each."""
    again = []
    calls = []
    evaluate = Claim.true_violation
    monkeypatch.setattr(
        Claim, "true_violation", lambda *given: again.append(given) or evaluate(*given)
    )
    found = judge(claim(prediction=lambda w: calls.append(w) or level), quick=True)
    assert (found.verdict, again) == (verdict, [])
    assert len(calls) < 8


def test_full_trial_audits_32_points_and_the_worst():
    verdict = judge(CATALOGUE["corrected-law/name-counter"])
    assert (verdict.verdict, verdict.audits) == ("supported", 33)
    assert verdict.largest_violation_bounded < verdict.tau


@pytest.mark.parametrize(("axes", "corners"), [(1, 2), (4, 4)])
def test_audits_are_corners_up_to_half_and_else_lie_inside(axes, corners):
    """One axis has fewer corners than half of 8 audits, four axes have more; none is audited
    twice.
    """
    domain = {name: Axis(0.5, 0.9) for name in ("p_spu", "mu_inv", "sigma_inv", "sigma_spu")[:axes]}
    points = trial.audits(
        claim(quantity="common", domain=domain), Worst(dict.fromkeys(domain, 0.7), -0.1, 1, 0), 8, 0
    )
    assert points[0] == dict.fromkeys(domain, 0.7)
    values = np.array([[*point.values()] for point in points[1:]])
    assert len(np.unique(values, axis=0)) == len(values) == 8
    assert np.isin(values, [0.5, 0.9]).all(axis=1).sum() == corners


def test_looks_are_fixed_and_every_point_has_its_own_streams(monkeypatch):
    calls = []
    draws = Arms.draws
    monkeypatch.setattr(Arms, "draws", lambda *how: calls.append(how) or draws(*how))
    judge(CATALOGUE["xue-data-model-1/counter"], quick=True)
    assert {size for _, size, _ in calls} <= set(np.diff([0, *calls[0][0].effort.looks]))
    assert len({seed for _, _, seed in calls}) == len(calls) >= 5


def test_the_worst_point_has_half_of_the_error_rate_and_audits_share_the_other(monkeypatch):
    tails = []
    samples = []
    of_violation = measuring.violation_bounds

    def spy(side, bounds, target, tail):
        tails.append(tail)
        samples.append(bounds.__self__)
        return of_violation(side, bounds, target, tail)

    monkeypatch.setattr(measuring, "violation_bounds", spy)
    verdict = judge(CATALOGUE["wang-lemma-d3"], quick=True, error_rate=0.04)
    assert tails[0] == budget.STRICT * 0.02
    # 95 % whatever the error rate
    assert verdict.interval == pytest.approx([*samples[0].bounds(0.025)])
    tails.clear()
    judge(CATALOGUE["corrected-law/name-counter"], quick=True, error_rate=0.04)
    assert tails == pytest.approx([budget.STRICT * 0.02 / 5] * len(tails))


def test_contradiction_rests_on_drawn_pairs_alone(monkeypatch):
    """If drawn pairs disagree with the counterexample of theory, there is no contradiction."""

    def denies(arms, size, seed):
        exact = {arm.route for arm in arms.every} == {"exact law"}
        return draws(arms, size, seed) if exact else 0.5 + 1e-6 * np.arange(size)[None]

    draws = Arms.draws
    monkeypatch.setattr(Arms, "draws", denies)
    verdict = judge(CATALOGUE["paper-condition-sufficient"], quick=True)
    assert verdict.verdict == "undecided"
    assert "measurements there show at least 0" in verdict.reason


@pytest.mark.parametrize(
    "subject", [LinearCLIP("name"), LinearCLIP("mean"), LinearCLIP("mean", 1), LeastSquares()]
)
def test_routes_agree(subject):
    """Equal means at n = 400, by eight z-tests at a rate of 1e-5 each."""
    point = {
        "p_spu": 0.8,
        "mu_spu": 1.5,
        "sigma_spu": 0.6,
        "sigma_xi": 0.0,
        "dim_image": 2,
        "dim_text": 2,
    }
    for group in ("common", "counter"):
        equal = claim(quantity=group, relation="=", subject=subject, n=400)
        exact = arms_at(equal, point).draws(320, 11)[0]
        drawn = arms_at(equal, point, drawn=True).draws(210, 12)[0]
        z = (exact.mean() - drawn.mean()) / np.hypot(
            exact.std() / len(exact) ** 0.5, drawn.std() / len(drawn) ** 0.5
        )
        assert abs(z) < 4.42


@pytest.mark.deep
@pytest.mark.parametrize("relation", [">=", "increasing"])
def test_fits_are_measured_where_the_pairs_of_all_worlds_can_be_drawn(relation):
    """One pair in a million has the other background at the worst point, or at the later of two:
    5e8 pairs are due.
    """
    one = (
        {"relation": relation, "along": "p_spu"}
        if relation == "increasing"
        else {"prediction": lambda w: 0.3}
    )
    verdict = judge(
        claim(subject=Logistic(), domain={"p_spu": Axis(0.5, 1 - 1e-6)}, **one), quick=True
    )
    assert verdict.verdict == "contradicted"
    assert max(verdict.counterexample.values()) < 1 - 1e-4 < max(verdict.worst.values())
