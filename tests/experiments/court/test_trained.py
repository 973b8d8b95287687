"""Claims about trained towers: predictions from theory, error rates of verdicts, stored
verdicts.
"""

import dataclasses
import json
import re
from functools import cache
from importlib.resources import files
from itertools import cycle

import numpy as np
import pytest
from scipy.stats import binom, t

from experiments.court import trained
from experiments.court.trained import case_hash, judge, models_for, rows_of, stored_text, verdict_of
from experiments.errors import RequestError
from simulator.accuracy import GROUPS
from simulator.towers.api import train
from simulator.towers.recipe import Recipe
from simulator.world import World
from theory.claims.trained import TrainedClaim
from theory.docket.catalogue import TRAINED

CLAIMS = {claim.id: claim for claim in TRAINED}
ONE = next(iter(CLAIMS["trained/siglip-without-bias"].cases))


PROMPTS = ("bare", "name", "mean")  # the columns of the lab's page
# Their theory takes ten seconds or more. That of unit embeddings is tested by its table in
# experiments/benchmarks.
SLOW = {
    "trained/ten-classes",
    "trained/unseen-pairs",
    *(name for name in CLAIMS if "unit-embeddings" in name),
}


@cache
def predictions(name: str) -> list[dict]:
    """Those of every case of a claim."""
    return [case.predictions() for case in CLAIMS[name].cases]


@pytest.mark.parametrize("name", CLAIMS)
def test_predictions_lead_and_rows_are_as_many_as_their_claim_needs(name):
    claim = CLAIMS[name]
    if claim.says == "ahead" and claim.cases[0].subjects and name not in SLOW:
        group = GROUPS.index(claim.groups[0])
        leads = [next(iter(each.values()))[group] for each in predictions(name)]
        assert np.subtract(leads[::2], leads[1::2]).min() > claim.margin
    if claim.says == "misses":
        assert sum(len(case.row_prompts) for case in claim.cases) == 1
    if claim.says in ("ahead", "alike"):
        assert sum(len(case.row_prompts) for case in claim.cases) % 2 == 0
    assert 8 <= models_for(claim) <= trained.MOST_MODELS


def claim_of(says: str, tolerance: float = 0.01, error_rate: float = 0.01) -> TrainedClaim:
    cases = (ONE, ONE) if says in ("ahead", "alike") else (ONE,)
    return TrainedClaim(
        id="mine", statement="", cases=cases, says=says, tolerance=tolerance, error_rate=error_rate
    )


def reported(*groups, diverged=()):
    """Cases as reported by `run_case`, from (predicted, model accuracies) of each counter group."""
    return [
        {
            "rows": [
                {"prompt": "name", "group": "counter", "predicted": b, "models": list(values)}
            ],
            "diverged": [{"model": k, "step": 7} for k in diverged],
            "recipe": {"steps": 1, "batch_size": 2},
        }
        for b, values in groups
    ]


def decided(claim, *groups, **lost) -> str:
    return verdict_of(claim, reported(*groups, **lost), 0, 1.0).verdict


@pytest.mark.parametrize("spread", [0.002, 0.02])
def test_a_claim_at_its_edge_is_rarely_decided(spread):
    """More verdicts of one kind come with probability 1e-4."""
    claim = claim_of("reaches")
    rng = np.random.default_rng(0)
    verdicts = [
        decided(claim, (0.5, rng.normal(0.51, spread, models_for(claim)))) for _ in range(400)
    ]
    most = max(verdicts.count("supported"), verdicts.count("contradicted"))
    assert most <= binom.isf(1e-4, 400, claim.error_rate)


def as_said(claim: TrainedClaim, off: float) -> str:
    """The verdict if the first row of the claim is off by `off` and every other row agrees."""
    rng = np.random.default_rng(7)
    models = models_for(claim)
    cases = []
    first = True
    groups = claim.groups if claim.says in ("ahead", "alike", "bridged") else ("common", "counter")
    ahead = claim.margin + 3 * claim.spread if claim.says == "ahead" else 0.0
    leads = cycle([ahead, 0.0])  # the first of each pair
    for case in claim.cases:
        rows = []
        for prompt, lead in zip(case.row_prompts, leads, strict=False):
            for group in groups:
                spoken_of = first and (claim.says != "misses" or group == "counter")
                values = (
                    0.5 + rng.normal(0.0, claim.spread / 4, models) + (off if spoken_of else lead)
                ).tolist()
                bridge = [0.5] * models
                rows.append(
                    {
                        "prompt": prompt,
                        "group": group,
                        "predicted": 0.5,
                        "models": values,
                        "bridge": bridge,
                    }
                )
                first = first and not spoken_of
        given = {"world": case.world.model_dump(), "recipe": {"steps": 1, "batch_size": 2}}
        cases.append({"rows": rows, "diverged": [], **given})
    return verdict_of(claim, cases, 0, 1.0).verdict


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_has_a_false_twin(name):
    """Rows lie three tolerances (or deviations) on the true, then on the false side; equal
    accuracies have p' = 1/2.
    """
    claim = CLAIMS[name]
    far = min(3 * max(claim.tolerance, claim.spread), 0.45)  # accuracies stay in [0, 1]
    sides = {
        "misses": (claim.tolerance + far, 0.0),
        "ahead": (claim.margin + far, claim.margin - far),
    }
    true, false = {**sides, "placed": (0.0, -far)}.get(claim.says, (0.0, far))
    # 64 clustered models give bounds of .10, not .05
    beyond = claim.clustered and claim.says == "alike"
    assert as_said(claim, true) == ("undecided" if beyond else "supported")
    assert as_said(claim, false) == "contradicted"


def test_towers_of_two_claims_are_trained_once(monkeypatch):
    calls = []

    def trained_once(recipe, world, *, report, **how):
        calls.append((recipe, world, how))
        found = {
            "interval95": {"common": None, "counter": None},
            "replicates": [{"common": 0.8, "counter": 0.7}],
        }
        document = {
            "prompts": dict.fromkeys(("name", "mean"), found),
            "bridge": None,
            "hash": "",
            "diverged": [],
        }
        return {**document, "seconds": 1.0, "compiled": False}

    monkeypatch.setattr("experiments.lab.training.train", trained_once)
    case = CLAIMS["trained/siglip"].cases[0]
    trainings = {}
    first = trained.run_case(case, 8, 0, "one claim", trainings)
    again = trained.run_case(case, 8, 0, "another", trainings)
    assert first == again
    assert len(calls) == 1
    for other in ((case, 9, 0), (case, 8, 1), (dataclasses.replace(case, recipe={}), 8, 0)):
        trained.run_case(*other, "a claim", trainings)
    assert len(calls) == 4


def test_rows_are_paired_group_by_group():
    """The claim compares case 1 with 2 and case 3 with 4, in each of two groups."""
    claim = dataclasses.replace(claim_of("alike"), groups=("counter", "rev"), cases=(ONE,) * 4)
    assert rows_of(claim) == 4
    for wrong in range(4):
        cases = reported(*[(None, np.full(8, 0.5))] * 4)
        for k, case in enumerate(cases):
            values = np.linspace(0.4, 0.6, 8) + 0.2 * (k == wrong)
            case["rows"].append(
                {"prompt": None, "group": "rev", "predicted": None, "models": list(values)}
            )
        found = verdict_of(claim, cases, 0, 1.0)
        assert (found.verdict, found.quantity) == ("contradicted", "rev")
        assert found.measured == pytest.approx(0.2 * (-1) ** wrong)


@pytest.mark.deep
def test_bounds_hold_for_accuracies_of_real_models():
    """800 linear towers in 100 trials of 8: 99 % intervals miss the overall mean at the nominal
    rate.
    """
    world = World(mu_spu=2.0, sigma_xi=1.0, dim_image=2, dim_text=2)
    recipe = Recipe(loss="linear", towers="linear", embed_dim=2, batch_size=64, steps=150, lr=0.02)
    counter = train(world, recipe, models=800, seed=0).each("name").counter
    truth = counter.mean()
    missed = 0
    for values in counter.reshape(100, 8):
        found = verdict_of(claim_of("reaches"), reported((0.5, values)), 0, 1.0)
        low, high = found.interval
        missed += not low <= truth <= high
    assert missed <= binom.isf(1e-3, 100, 0.01)


def test_a_model_that_diverged_counts_against_the_claim():
    values = np.full(8, 0.5) + np.linspace(-1e-3, 1e-3, 8)
    assert decided(claim_of("reaches"), (0.5, values)) == "supported"
    assert decided(claim_of("reaches"), (0.5, values), diverged=(1,)) == "undecided"
    found = verdict_of(claim_of("reaches"), reported((0.5, values), diverged=(1,)), 0, 1.0)
    assert "1 models diverged and count against the claim" in found.reason
    assert (
        decided(claim_of("reaches"), (0.5, np.full(40, np.nan)), diverged=range(40))
        == "contradicted"
    )
    assert (
        decided(claim_of("ahead"), (0.5, values + 0.1), (0.5, values), diverged=(1,)) == "undecided"
    )
    for predicted, worst in ((0.2, 1.0), (0.8, 0.0)):  # as far from the prediction as possible
        (case,) = reported((predicted, np.full(8, predicted)), diverged=(1,))
        ((*_, sample),) = trained.SAYS["reaches"].rows(claim_of("reaches"), [case])
        assert sample.values.tolist() == [predicted, worst, *[predicted] * 6]
        assert not sample.normal


def test_a_lost_model_has_no_place_and_the_worst_distance():
    claim = claim_of("placed")
    world = World(mu_spu=1.5, sigma_xi=1.0, dim_image=2, dim_text=2)
    rows = [
        {"group": group, "models": [at, np.nan, at]}
        for group, at in (("common", 0.88), ("counter", 0.6))
    ]
    case = {"world": world.model_dump(), "rows": rows, "diverged": [{"model": 1, "step": 7}]}
    for *_, sample in trained.SAYS["placed"].rows(claim, [case]):
        going, lost, again = sample.values
        assert lost == -0.5 < 0 < going == again
        assert not sample.normal


@pytest.mark.parametrize("ratio", [0.2, 1.0, 2.0])
@pytest.mark.parametrize("tail", [0.005, 0.005 / 64])
@pytest.mark.parametrize(("name", "rows"), [("trained/infonce", 8), ("trained/frozen-text", 1)])
def test_models_are_the_fewest_whose_bounds_come_within_the_tolerance(name, rows, tail, ratio):
    """At two sides of every row, with power .95."""
    claim = CLAIMS[name]
    claim = dataclasses.replace(claim, spread=ratio * claim.tolerance, error_rate=2 * rows * tail)
    least = next(
        R for R in range(8, 999) if ((t.isf(tail, R - 1) + t.isf(0.05, R - 1)) * ratio) ** 2 <= R
    )
    assert rows_of(claim) == rows
    assert models_for(claim) == min(least, 64)


@pytest.mark.parametrize(("recipe", "n"), [({}, 6), ({"n": None}, 6), ({"n": 50}, 50)])
def test_the_number_of_pairs_is_that_of_the_recipe_or_of_all_steps(recipe, n):
    (case,) = reported((0.5, np.full(8, 0.5)))
    case["recipe"] = {"steps": 3, "batch_size": 2, **recipe}
    assert verdict_of(claim_of("reaches"), [case], 0, 1.0).n == n


def test_every_case_is_trained_with_the_seed_of_the_trial_and_anew_for_another_error_rate(
    monkeypatch,
):
    seen = []

    def run_case(case, models, seed, name, trainings):
        seen.append((case, models, seed))
        (found,) = reported((0.5, np.full(models, 0.5)))
        return {**found, "seconds": 1.0}

    monkeypatch.setattr(trained, "run_case", run_case)
    claim = claim_of("alike")
    assert judge(claim, seed=3).verdict == "supported"
    assert seen == [(case, models_for(claim), 3) for case in claim.cases]
    stored = CLAIMS["trained/siglip"]
    with pytest.raises(RequestError, match="stored for seed 0"):
        judge(stored, seed=7, quick=True)
    found = [
        judge(stored, **how) for how in ({"quick": True}, {"quick": True, "error_rate": 0.2}, {})
    ]
    assert [(verdict.stored, verdict.alpha) for verdict in found] == [
        (True, 0.01),
        (False, 0.2),
        (False, 0.01),
    ]


@pytest.mark.deep
def test_a_trial_can_go_the_other_way(monkeypatch):
    """Linear towers reach S/rho, as the report shows, but not the InfoNCE optimum."""
    claim = CLAIMS["trained/linear"]
    lines = []
    bad = dataclasses.replace(claim.cases[1], subjects=CLAIMS["trained/infonce"].cases[0].subjects)
    monkeypatch.setattr(trained, "tell", lines.append)
    assert judge(dataclasses.replace(claim, cases=(bad,))).verdict == "contradicted"
    assert lines[-1].startswith("trained/linear, case 1 of 1, 8 models: step 800 of 800: loss ")


class TestStored:
    def test_verdicts_belong_to_the_current_claims(self):
        """If you change a case, run it again."""
        text = (files("experiments.court") / trained.STORED).read_text()
        defaults = json.loads(text)["defaults"]
        raw = json.loads(text)["verdicts"]
        assert Recipe(**defaults) == Recipe()
        stored = {verdict["claim"]: verdict for verdict in trained.stored_documents()}
        # never stored: they take seconds
        linear = ["trained/linear", "trained/linear-one-dimension"]
        assert [*linear, *stored] == list(CLAIMS)
        for name, verdict, kept in zip(stored, stored.values(), raw, strict=True):
            claim = CLAIMS[name]
            assert (verdict["tau"], verdict["alpha"]) == (claim.tolerance, claim.error_rate)
            hashes = [case_hash(case.world.model_dump(), case.recipe) for case in claim.cases]
            assert [case["case"] for case in kept["cases"]] == hashes, name
            if name in SLOW:
                continue
            for case, own in zip(verdict["cases"], predictions(name), strict=True):
                predicted = [value for pair in own.values() for value in pair]
                stored_values = [
                    row["predicted"] for row in case["rows"] if row["predicted"] is not None
                ]
                assert stored_values == pytest.approx(predicted, abs=2e-3)

    def test_the_file_has_the_form_that_is_written(self):
        text = (files("experiments.court") / trained.STORED).read_text()
        assert stored_text(trained.stored_documents()) == text
        assert len(text) < 60_000
        document = verdict_of(
            claim_of("reaches"), reported((0.5, np.linspace(0.4, 0.6, 8))), 0, 1.0
        ).as_json()
        document |= {"cases": [{**case, "world": {}, "recipe": {}} for case in document["cases"]]}
        (kept,) = json.loads(stored_text([document]))["verdicts"]
        assert len(kept["date"]) == 10
        # the models
        assert kept["cases"][0]["rows"][0][-1] == pytest.approx(np.linspace(0.4, 0.6, 8), abs=1e-6)

    def test_the_labs_page_has_the_towers_of_unit_embeddings_and_their_optimum(self):
        page = (files("experiments.lab") / "README.md").read_text()
        found = re.findall(
            r"^\| (every look|half are bare) \| ([\d.]+) \| (\d+) \|(.*)\|(.*)\|(.*)\|$",
            page,
            re.MULTILINE,
        )
        shown = {
            (looks, float(s), int(D)): [re.findall(r"[\d.]+", x) for x in rest]
            for looks, s, D, *rest in found
        }
        expected = {}
        for document in trained.stored_documents():
            for case in (
                document["cases"] if document["claim"].startswith("trained/unit-embeddings") else ()
            ):
                looks = "half are bare" if case["world"]["bare"] else "every look"
                at = (
                    looks,
                    round(1 / case["recipe"]["temperature"], 6),
                    case["recipe"]["embed_dim"],
                )
                rows = {row["prompt"]: row for row in case["rows"] if row["group"] == "counter"}
                pairs = [
                    (rows[p]["measured"], rows[p]["predicted"]) if p in rows else ()
                    for p in PROMPTS
                ]
                expected[at] = [[f"{100 * value:.1f}" for value in pair] for pair in pairs]
        assert shown == expected

    @pytest.mark.deep
    def test_a_stored_verdict_is_that_of_its_recipe_and_hash(self):
        """The numbers are those of another processor up to rounding, which training amplifies."""
        claim = CLAIMS["trained/clip-more-robust"]
        stored = judge(claim, quick=True)
        again = judge(claim)
        assert (again.verdict, again.n, again.replicates) == (
            stored.verdict,
            stored.n,
            stored.replicates,
        )
        for kept, case in zip(stored.cases, again.cases, strict=True):
            assert kept["hash"] == case["hash"]
            for row, twin in zip(kept["rows"], case["rows"], strict=True):
                assert (row["prompt"], row["group"]) == (twin["prompt"], twin["group"])
                assert row["measured"] == pytest.approx(twin["measured"], abs=1e-3)
                assert row["interval"] == pytest.approx(twin["interval"], abs=1e-3)
