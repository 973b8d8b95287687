"""Claims on trained towers: predictions from the theory, verdicts from runs, stored verdicts that match the claims."""

import dataclasses

import pytest

from experiments.court.trained import _verdict, judge_trained, quick_verdict, stored_verdicts
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.claims.trained import trained_claims

CLAIMS = {claim.id: claim for claim in trained_claims()}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda c: c.id)
def test_recipes_and_predictions_stand(claim):
    for case in claim.cases:
        Recipe(**case.recipe)
        for common, counter in case.predictions().values():
            assert 0 < counter <= common < 1
    if claim.order is not None:
        first, second = (next(iter(case.predictions().values()))[1] for case in claim.cases)
        assert (first > second) == (claim.order == "first")


def test_predictions_are_the_table_of_the_theory():
    """theory.md section 6: .8635, .7054 by name and .9923, .0546 by mean at p = .9, mu_spu = 2."""
    found = CLAIMS["trained/infonce"].cases[0].predictions()
    assert found["name"] == pytest.approx((0.8635, 0.7054), abs=1e-4)
    assert found["mean"] == pytest.approx((0.9923, 0.0546), abs=1e-4)


@pytest.mark.deep
def test_a_verdict_can_go_either_way():
    """Linear towers reach S/rho in seconds; towers that hardly train do not, and the verdict says so."""
    claim = dataclasses.replace(CLAIMS["trained/linear"], cases=CLAIMS["trained/linear"].cases[1:])
    case = claim.cases[0]
    good = dataclasses.replace(case, recipe={**case.recipe, "steps": 1500, "batch_size": 256})
    bad = dataclasses.replace(case, recipe={**case.recipe, "steps": 20})
    lines = []
    assert judge_trained(dataclasses.replace(claim, cases=(good,)), report=lines.append)["verdict"] == "supported"
    assert lines[-1].startswith("trained/linear, case 1 of 1: step 1500 of 1500: loss ")
    assert judge_trained(dataclasses.replace(claim, cases=(bad,)))["verdict"] == "contradicted"


def told(*accuracies, diverged=()):
    """Cases as `run_case` reports them, with these (predicted, measured) counter accuracies."""
    return [
        {
            "rows": [{"predicted": p, "measured": m, "interval": None, "group": "counter", "prompt": None}],
            "diverged": list(diverged),
            "recipe": {"steps": 1, "batch_size": 2},
        }
        for p, m in accuracies
    ]


def test_a_model_that_diverged_is_no_support():
    claim = CLAIMS["trained/supervised"]
    assert _verdict(claim, told((0.5, 0.51)), 0, 1.0)["verdict"] == "supported"
    lost = told((0.5, 0.51), diverged=[{"model": 1, "step": 7}])
    assert _verdict(claim, lost, 0, 1.0)["verdict"] == "contradicted"


def test_an_order_must_hold_as_measured():
    """Both accuracies may lie within their tolerance and still come in the wrong order."""
    claim = CLAIMS["trained/clip-more-robust"]
    assert _verdict(claim, told((0.5, 0.504), (0.5, 0.496)), 0, 1.0)["verdict"] == "supported"
    assert _verdict(claim, told((0.5, 0.496), (0.5, 0.504)), 0, 1.0)["verdict"] == "contradicted"


def test_stored_verdicts_belong_to_the_claims_of_today():
    """Whoever changes a case must run it again: stored hash-worthy fields equal the declared ones."""
    assert [verdict["claim"] for verdict in stored_verdicts()] == list(CLAIMS), "else check --quick trains for minutes"
    for verdict in stored_verdicts():
        claim = CLAIMS[verdict["claim"]]
        assert verdict["statement"] == claim.statement
        assert len(verdict["cases"]) == len(claim.cases)
        for stored, case in zip(verdict["cases"], claim.cases, strict=True):
            assert World(**stored["world"]) == case.world  # fields that World has gained since are at their defaults
            assert stored["recipe"] == Recipe(**case.recipe).model_dump(mode="json")
            predicted = [value for pair in case.predictions().values() for value in pair]
            assert [row["predicted"] for row in stored["rows"]] == pytest.approx(predicted, abs=1e-6)
        assert verdict["versions"]["commit"]


def test_a_stored_verdict_says_that_it_is_stored():
    verdict = quick_verdict(CLAIMS[stored_verdicts()[-1]["claim"]])
    assert verdict["stored"] is True
    assert verdict["route"].endswith("(stored)")
