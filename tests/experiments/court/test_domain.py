"""Points of a domain, the worlds that a relation compares, and the search for violations."""

from dataclasses import dataclass

import numpy as np
import pytest
from closed_form import claim, truth
from hypothesis import given
from scipy import stats
from stattest import SHARE, assert_same_law, spend

from experiments.court import arms, budget, worst_point
from experiments.court.arms import arms_at, drawable
from experiments.court.budget import MOST_DRAWN
from experiments.court.measured import gather, measured
from experiments.court.trial import judge
from experiments.court.worst_point import CLOSED, QUADRATURE, by_formula, probit_violation
from experiments.errors import RequestError
from experiments.inference import Sample
from simulator.strategies import worlds
from simulator.world import World, narrowest
from theory import unit_prompts
from theory.claims.claim import SHARE_TOLERANCE, Axis, Claim
from theory.claims.quantities import QUANTITIES, OfAccuracy
from theory.claims.relations import single
from theory.learners import Bayes, InfoNCE, LinearCLIP, Logistic
from theory.population import latent_cross_covariance


def test_a_monotone_relation_compares_two_points_inside_the_domain():
    rises = claim(
        relation="increasing",
        along="p_spu",
        domain={"p_spu": Axis(0.5, 1.0), "mu_spu": Axis(0.5, 2.0), "sigma_spu": lambda w: w.p_spu},
    )
    points = rises.relation.points(rises, np.random.default_rng(0).random((200, 3)))
    assert (points["p_spu_later"] >= points["p_spu"]).all()
    assert points["p_spu_later"].max() <= 1.0
    here, later = rises.relation.legs(rises, single(points, 0) | {})
    assert later.worlds.sigma_spu == later.worlds.p_spu, (
        "a field that is a function of p_spu follows it"
    )
    assert here.worlds.mu_spu == later.worlds.mu_spu
    ends = {"p_spu": 0.6, "p_spu_later": 0.9}
    of_first, number = (
        claim(
            relation="increasing",
            along="p_spu",
            domain={"p_spu": Axis(0.5, 1.0)},
            prediction=change,
        )
        for change in (lambda w: w.p_spu, lambda w: 0.6)
    )
    assert of_first.true_violation(ends) == number.true_violation(ends), (
        "the change is that of the earlier world"
    )
    # A later point outside the bounds of another field is invalid.
    bounded = claim(
        relation="increasing",
        along="sigma_inv",
        domain={"sigma_inv": Axis(0.5, 2.0), "sigma_spu": Axis(0.0, lambda w: 1 / w.sigma_inv)},
    )
    point = {"sigma_inv": 0.5, "sigma_spu": 1.9, "sigma_inv_later": 2.0}
    assert not bounded.relation.inside(bounded, point)
    assert bounded.relation.inside(bounded, {**point, "sigma_spu": 0.4})
    assert bounded.true_violation(point) == -np.inf
    assert not bounded.relation.inside(
        bounded, {"sigma_inv": 1.0, "sigma_spu": 0.4, "sigma_inv_later": 0.9}
    ), "earlier"


@pytest.mark.parametrize(
    ("fields", "ends"),
    [
        ({}, (0, 1)),
        ({"quantity": "drop"}, (-1, 1)),
        ({"against": "bayes"}, (-1, 1)),
        ({"relation": "increasing", "along": "p_spu"}, (-1, 1)),
        (
            {"relation": "decreasing", "along": "p_spu", "quantity": "drop", "against": "bayes"},
            (-4, 4),
        ),
        ({"relation": "slope", "along": "p_spu", "grid": (0.6, 0.9)}, None),
        ({"quantity": "reliance"}, None),
    ],
)
def test_the_support_is_that_of_all_differences(fields, ends):
    assert claim(domain={"p_spu": Axis(0.5, 1.0)}, **fields).support == ends


@given(worlds(extra_dimensions=20))
def test_population_worlds_use_the_narrowest_views(world):
    """A field that changes the noise, and that `narrowest` does not know, would change it twice."""
    narrow = narrowest(world)
    assert (narrow.dim_image, narrow.dim_text) == (world.latents, world.latents)
    assert narrow.nu_image == pytest.approx(world.nu_image, rel=1e-12)
    assert narrow.nu_text == pytest.approx(world.nu_text, rel=1e-12)


@pytest.mark.parametrize(
    ("of", "bound", "relation"),
    # above 1, below 0
    [(lambda a: a.common / a.counter, 3.0, "<="), (lambda a: a.counter - a.common, -1.0, ">=")],
)
def test_a_quantity_that_leaves_its_support_is_not_clipped(monkeypatch, of, bound, relation):
    mine = OfAccuracy(name="mine", of=of)  # by default between 0 and 1
    monkeypatch.setitem(QUANTITIES, "mine", mine)
    verdict = judge(
        claim(quantity="mine", subject="linear", prediction=lambda w: bound, relation=relation),
        quick=True,
    )
    assert verdict.verdict == "undecided"
    assert "outside its support (0.0, 1.0)" in str(verdict)


@pytest.mark.deep
def test_unit_embeddings_are_minimised_once_for_a_world_and_its_narrowest_views(monkeypatch):
    """The closed form is that of the claim's world, and images have the narrowest views."""
    calls = []
    minimise = unit_prompts.trained
    monkeypatch.setattr(
        unit_prompts, "trained", lambda *given: calls.append(given) or minimise(*given)
    )
    learner = InfoNCE("name", 1.0)
    wide = World(mu_spu=1.0, sigma_xi=16.0)
    learner.accuracy(wide)
    once = len(calls)
    learner.scores(narrowest(wide), np.zeros((1, 2)))
    assert len(calls) == once > 0


def test_finite_n_keeps_the_width_of_its_views_and_wide_ones_cost_more():
    assert [
        drawable(World(dim_image=8, dim_text=8), MOST_DRAWN // 2 + more) for more in (0, 1)
    ] == [True, False]
    wide = {"dim_image": 16, "dim_text": 16}
    assert arms_at(claim(domain=wide), wide).every[0].world.dim_image == 2
    assert arms_at(claim(domain=wide, n=50), wide).every[0].world.dim_image == 16
    rate = claim(relation="slope", along="n", grid=(1e4, 1e10), domain=wide)
    assert rate.finite
    assert [(arm.world.dim_image, arm.n) for arm in arms_at(rate, wide).every] == [
        (16, 10**4),
        (16, 10**10),
    ]


def shown(mine: Claim, point: dict, size: int, seed: int, drawn: bool = False) -> Sample:
    found = arms_at(mine, point, drawn)
    (sample,) = measured(found, found.draws(size, seed)).samples
    return sample


def values(mine: Claim, point: dict, size: int, seed: int = 0, drawn: bool = False) -> np.ndarray:
    """Measured values of the number that a claim limits."""
    return shown(mine, point, size, seed, drawn).values


def test_compared_values_use_the_same_draws():
    domain = {
        "p_spu": 0.9,
        "mu_spu": Axis(1.0, 2.0),
        "sigma_xi": 0.5,
        "dim_image": 2,
        "dim_text": 2,
    }
    rises = claim(relation="increasing", along="mu_spu", domain=domain, n=1000)
    point = {**domain, "mu_spu": 1.5}
    once = values(claim(domain=domain, n=1000), point, 500)
    both = values(rises, {**point, "mu_spu_later": 1.6}, 500)
    assert both.std() < once.std() / 2
    # A learner has no difference to itself, neither per image nor per training.
    for rule in (Bayes(), LinearCLIP()):
        same = claim(
            subject=rule, against=rule, domain=point, n=10**10 if rule == Bayes() else 1000
        )
        assert set(values(same, point, 1000)) == {0.0}


FEW = {"p_spu": 0.9, "mu_spu": 1.5, "sigma_xi": 0.5, "dim_image": 2, "dim_text": 2}


def shared(share: float, bound: float, **fields) -> Claim:
    """A claim: at least this share of trainings on 100 pairs has a counter accuracy above the
    bound.
    """
    return claim(domain=FEW, share=share, prediction=lambda w: bound, n=100, **fields)


def test_a_value_of_a_rule_is_the_worst_group_of_one_set_of_images():
    rates = values(claim(domain=FEW, quantity="worst", subject="bayes"), FEW, 8)
    truth = float(Bayes().accuracy(World(**FEW)).counter)
    assert len(set(rates)) == 8
    # 10,000 images each
    assert rates.mean() == pytest.approx(truth, abs=5 * np.sqrt(truth * (1 - truth) / 80_000))


def test_a_share_counts_trainings_and_is_judged_by_them():
    each = values(claim(domain=FEW, n=100), FEW, 4000, 3)
    bound = float(np.median(each))
    counted = shown(shared(0.9, bound), FEW, 4000, 3)
    assert np.array_equal(counted.values, each >= bound - 0.005)
    assert not counted.normal
    assert 0.5 < counted.mean < 0.7
    assert_same_law(
        counted.values, shown(shared(0.9, bound), FEW, 4000, 4, drawn=True).values, effect=0.15
    )
    assert np.array_equal(
        shown(shared(0.9, bound, relation="<="), FEW, 4000, 3).values, each <= bound + 0.005
    )
    assert truth(claim(domain=FEW, n=100), World(**FEW)) > bound - 0.05, (
        "the mean differs from single trainings"
    )
    held, failed = (judge(shared(0.95, at), quick=True) for at in np.quantile(each, [0.02, 0.5]))
    assert (held.verdict, failed.verdict) == ("supported", "contradicted")
    assert (failed.predicted, failed.share, failed.tau, failed.n) == (
        0.95,
        0.95,
        SHARE_TOLERANCE,
        100,
    )
    assert 0 < failed.interval[0] < failed.measured < failed.interval[1] < 0.95
    assert failed.p_value < failed.alpha / 2


def test_the_mean_of_an_unbounded_quantity_has_no_bound_over_few_pairs():
    few, many = (claim(quantity="reliance", domain=FEW, n=n) for n in (100, 10**4))
    found = gather(few, FEW, limit=1.0, tail=0.01, purpose="audit", seed=0)
    usual = gather(many, FEW, limit=1.0, tail=0.01, purpose="audit", seed=0)
    assert found.violation() == (-np.inf, np.inf)
    assert found.size == 32, "no number of values would suffice"
    assert found.note == "the mean of an unbounded quantity over so few pairs has no bound"
    assert np.isfinite(usual.violation()).all()
    assert usual.note is None


def boxed(share: float, seed: int) -> Claim:
    """A claim: false by 2 tau in an interior box with this share of the volume, true elsewhere,
    constant in each.
    """
    rng = np.random.default_rng(seed)
    width = share ** (1 / 3)
    corner = rng.uniform(0.02, 0.98 - width, 3)
    axes = {"p_spu": Axis(0.55, 0.95), "mu_spu": Axis(0.5, 2.0), "sigma_inv": Axis(0.5, 2.0)}

    def prediction(w):
        place = [(getattr(w, n) - a.low) / (a.high - a.low) for n, a in axes.items()]
        within = np.all(
            [(c <= x) & (x <= c + width) for c, x in zip(corner, place, strict=True)], axis=0
        )
        return LinearCLIP().accuracy(w).counter + np.where(within, 0.01, -0.1)

    return claim(subject=LinearCLIP(), domain={**axes, **QUIET}, prediction=prediction)


QUIET = {"sigma_xi": 0.0, "dim_image": 2, "dim_text": 2}


@pytest.mark.parametrize(
    ("effort", "share", "seeds"),
    [
        (CLOSED, 0.002, range(4)),
        pytest.param(CLOSED, 0.002, range(4, 30), marks=pytest.mark.deep),
        pytest.param(QUADRATURE, 0.015, range(30), marks=pytest.mark.deep),
    ],
)
def test_an_interior_box_is_found_with_every_seed(effort, share, seeds, monkeypatch):
    """A search that misses one box in 10 passes 30 seeds with probability .04. The cheapest learner
    does for all.
    """
    monkeypatch.setattr(worst_point, "_effort", lambda claim: effort)
    for seed in seeds:
        assert by_formula(boxed(share, seed), seed).violation > 0.009, seed


def test_probit_scale_agrees_in_sign_and_does_not_saturate():
    domain = {"p_spu": Axis(0.5, 1.0), "mu_spu": 2.0, "sigma_inv": 0.05}
    unit = np.linspace(0, 1, 50)[:, None]
    for relation, quantity in ((">=", "counter"), ("<=", "common"), (">=", "error-counter")):
        c = claim(relation=relation, quantity=quantity, domain=domain, prediction=lambda x: 0.7)
        points = c.place(unit)
        probit = probit_violation(c, points)
        plain = c.true_violation(points)
        sure = np.abs(plain) > 1e-12
        assert (np.sign(probit[sure]) == np.sign(plain[sure])).all()
        assert len(np.unique(probit)) > 40
    others = (
        {"relation": "="},
        {"against": LinearCLIP("mean")},
        {"subject": Logistic()},
        {"quantity": "drop"},
    )
    for fields in (*others, {"domain": {**domain, "classes": 3}}):
        other = claim(**{"domain": domain, **fields})
        assert probit_violation(other, other.place(unit)) is None


def test_undefined_points_are_left_out_and_counted():
    hole = claim(
        domain={"p_spu": Axis(0.5, 1.0), **QUIET},
        prediction=lambda w: np.where(w.p_spu < 0.75, np.nan, 0.0),
    )
    found = by_formula(hole, 0)
    # four deviations
    assert found.undefined == pytest.approx(CLOSED / 2, abs=4 * np.sqrt(CLOSED) / 2)
    assert found.point["p_spu"] >= 0.75
    verdict = judge(hole, quick=True)
    assert (verdict.verdict, verdict.undefined) == ("supported", found.undefined)


def test_where_a_prediction_fails_the_other_worlds_keep_their_values():
    def partly(worlds):
        if np.any(worlds.p_spu > 0.9):
            raise ValueError("it has no answer here")
        return 0.5

    values = np.array([0.1, 0.2, 0.3])
    worlds = World(p_spu=[0.6, 0.95, 0.8])
    one = claim(domain={"p_spu": Axis(0.5, 1.0)}, prediction=partly)
    assert one.violation(values, worlds) == pytest.approx([0.4, np.nan, 0.2], nan_ok=True)
    assert one.violation(values[None], worlds.reshape(1, 3)) == pytest.approx(
        np.array([[0.4, np.nan, 0.2]]), nan_ok=True
    )
    assert one.violation(0.1, worlds)[0] == pytest.approx(0.4)


class Late:
    """A field that fails at the third call; the first two are made with the claim and its checked
    copy.
    """

    calls = 0

    def __call__(self, fields):
        self.calls += 1
        return 2.0 if self.calls <= 2 else {}["late"]


@dataclass(frozen=True)
class Misspelt(LinearCLIP):
    def accuracy(self, worlds):
        return worlds.clases


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"prediction": lambda w: np.nan}, "defined at none of the"),
        ({"prediction": lambda w: 1 / 0}, "division by zero"),
        ({"prediction": lambda w: w.mean.fill(0)}, "read-only"),
        ({"prediction": lambda: 0.5}, "TypeError"),
        ({"prediction": lambda w: next(iter(()))}, "StopIteration"),
        (
            {"prediction": lambda w: 0.5j},
            "its prediction has type complex128; real numbers are needed",
        ),
        ({"prediction": lambda w: {}}, "its prediction has type object; real numbers are needed"),
        ({"prediction": lambda w: [0.5] * 3}, "its prediction has shape (3,) for worlds of shape"),
        (
            {"prediction": lambda w, calls=[]: calls.append(w) or -len(calls)},
            "must depend on its world only",
        ),
        ({"domain": {"p_spu": Axis(0.5, 1.0), "mu_spu": Late()}}, "KeyError: 'late'"),
        ({"subject": Misspelt()}, "no 'clases'; the nearest is 'classes'"),
        ({"subject": "infonce"}, "sigma_xi = 0"),
        ({"subject": "infonce", "quantifier": "somewhere"}, "sigma_xi = 0"),
        ({"subject": "infonce", "quantity": "reliance"}, "not a linear rule"),
        ({"subject": "infonce", "share": 0.9}, "fitted to pairs; infonce is not"),
        (
            {"quantifier": "on average", "quantity": "reliance"},
            "a mean over worlds needs a bounded quantity",
        ),
        (
            {"quantifier": "on average", "prediction": lambda w: w.p_spu / 2},
            "a prediction that is one number",
        ),
        ({"prediction": lambda w: w.mu_spuu}, "no 'mu_spuu'; the nearest is 'mu_spu'"),
        ({"prediction": lambda w: w["mu_spu"]}, "IndexError"),
    ],
)
def test_a_claim_that_cannot_be_judged_gets_one_sentence(fields, sentence, monkeypatch):
    # Where a prediction fails, each world is tried alone.
    monkeypatch.setattr("experiments.court.worst_point.CLOSED", 64)
    with pytest.raises(RequestError, match="cannot be judged") as caught:
        judge(claim(**{"domain": {"p_spu": Axis(0.5, 1.0), **QUIET}, **fields}), quick=True)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_of_ours_is_not_blamed_on_the_claim(monkeypatch):
    monkeypatch.setattr("theory.claims.claim.attempt", None)
    with pytest.raises(TypeError, match="not callable"):
        judge(claim(domain={"p_spu": Axis(0.5, 1.0)}, prediction=lambda w: 0.5))


@pytest.mark.parametrize(
    "give", [lambda w: 1, lambda w: 1e308, lambda w: w.p_spu, lambda w: np.ones(w.shape, int)]
)
def test_any_real_numbers_are_a_prediction(give):
    domain = {"p_spu": Axis(0.9, 1.0), "mu_spu": 2.0}
    assert (
        judge(claim(relation="<=", domain=domain, prediction=give), quick=True).verdict
        == "supported"
    )


@pytest.mark.deep
def test_error_rate_of_the_judge_at_the_edge(monkeypatch):
    """A claim whose violation is tau uses up its budget, and is contradicted with probability
    alpha/2 at most.
    """
    monkeypatch.setattr(budget, "LAWS", budget.LAWS._replace(most=3000, factor=2))
    assert len(budget.LAWS.looks) == 7
    learner = LinearCLIP("name")
    alpha = 0.05
    # drawn pairs would be too many: the exact law is used
    point = {"p_spu": 1 - 1e-5, "mu_spu": 1.5, **QUIET}
    truth = float(learner.accuracy(World(**point)).counter)

    class Wrong(LinearCLIP):
        """Its closed form is 2 tau below the accuracy of training."""

        def accuracy(self, worlds):
            accuracy = learner.accuracy(worlds)
            return type(accuracy)(accuracy.common, accuracy.counter - 0.01)

    edge = claim(subject=Wrong("name"), domain=point, prediction=lambda w: truth + 0.005)
    verdicts = [judge(edge, seed=seed, quick=True, error_rate=alpha) for seed in range(100)]
    false = sum(v.verdict == "contradicted" for v in verdicts)
    assert {v.replicates for v in verdicts if v.verdict != "contradicted"} == {budget.LAWS.most}
    assert all(v.largest_violation_found == pytest.approx(0.015, abs=1e-9) for v in verdicts)
    spend(SHARE)
    assert false <= stats.binom.isf(SHARE, 100, alpha / 2)


@pytest.mark.deep
@pytest.mark.parametrize(("shift", "expected"), [(0.0075, "contradicted"), (0.0, "supported")])
def test_power_near_the_tolerance(shift, expected):
    """With probability .95 per claim, v = 1.5 tau on either side is contradicted and a true
    equality is supported.
    """
    learner = LinearCLIP("name")
    domain = {"p_spu": Axis(0.6, 0.95), "mu_spu": 1.5, **QUIET}
    right = 0
    for seed in range(30):
        prediction = lambda w, off=shift * (-1) ** seed: learner.accuracy(w).counter + off  # noqa: E731
        planted = claim(relation="=", subject=learner, domain=domain, prediction=prediction)
        right += judge(planted, seed=seed, quick=True).verdict == expected
    spend(SHARE)
    assert right >= stats.binom.ppf(SHARE, 30, 0.95)


@pytest.mark.parametrize("drawn", [True, False])
def test_covariances_in_wide_views_are_those_of_the_latents(drawn, monkeypatch):
    calls = []
    draw = arms.drawn_covariances
    monkeypatch.setattr(arms, "drawn_covariances", lambda *how: calls.append(how) or draw(*how))
    wide = {"mu_spu": 1.5, "sigma_xi": 2.0, "dim_image": 6, "dim_text": 5}
    error = claim(
        quantity="operator-error",
        relation="<=",
        domain=wide,
        reference=latent_cross_covariance,
        n=400,
    )
    (arm,) = arms_at(error, wide, drawn=drawn).every
    assert (arm.route == "drawn pairs") is drawn
    draws = arm._replace(size=300, stream=error.id)
    S = np.concatenate(list(draws.covariances())).mean(axis=0)
    assert bool(calls) is drawn
    # The standard error is .007 for 300 times 400 pairs.
    np.testing.assert_allclose(S, latent_cross_covariance(World(**wide)), atol=0.1)
