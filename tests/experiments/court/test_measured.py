"""Measured p', r and effective robustness: bounds against a grid of the rectangle, the even images,
looks.
"""

from dataclasses import replace
from itertools import product

import closed_form
import numpy as np
import pytest
from closed_form import truth
from scipy import stats
from stattest import SHARE, spend

from experiments.court import budget
from experiments.court.arms import Arm, Arms, arms_at
from experiments.court.measured import SPARED, Measured, even_sample, gather, measured
from experiments.court.trial import judge
from experiments.finite_samples import EVEN, even_accuracies
from experiments.inference import Sample, binomial_bounds, t_bounds
from experiments.verdict import ALPHA
from simulator.accuracy import Accuracy
from simulator.world import World
from theory.claims.claim import Axis, Claim
from theory.claims.quantities import QUANTITIES
from theory.learners import Bayes, InfoNCE

STANDINGS = [name for name, quantity in QUANTITIES.items() if quantity.placed]
HEADLINE = World(p_spu=0.9, mu_spu=1.5, sigma_xi=0.75 * 2**0.5, dim_image=2, dim_text=2)
BOX = {
    "p_spu": Axis(0.7, 0.9),
    "mu_spu": Axis(1.0, 2.0),
    "sigma_xi": HEADLINE.sigma_xi,
    "dim_image": 2,
    "dim_text": 2,
}


def claim(quantity: str, relation: str = ">=", **fields) -> Claim:
    family = {"against": "least-squares"} if quantity == "effective-robustness" else {}
    usual = {"domain": BOX, "subject": "infonce", "quantity": quantity, "relation": relation}
    return closed_form.claim(**{**usual, **family, **fields})


def sample(
    quantity: str, common, counter, world: World = HEADLINE, relation: str = ">=", **fields
) -> Measured:
    """What these accuracies of one learner show, in the earlier one of two worlds if the relation
    compares two.
    """
    mine = claim(quantity, relation, **fields)
    legs = [[Arm(world, mine.subject, 0, "drawn pairs")]]
    groups = [Sample(rates, normal=True, support=(0, 1)) for rates in (common, counter)]
    return Measured(Arms(mine, {}, world.ravel(), legs, rare=False), groups, len(common))


@pytest.mark.parametrize("quantity", STANDINGS)
def test_bounds_are_the_extremes_over_the_rectangle_of_mean_accuracies(quantity):
    rng = np.random.default_rng(0)
    found = sample(quantity, rng.normal(0.9, 0.01, 12), rng.normal(0.6, 0.01, 12))
    (c_L, c_U), (k_L, k_U) = (group.bounds(0.02 / 4) for group in found.samples)
    c, k = (x.ravel() for x in np.meshgrid(np.linspace(c_L, c_U, 9), np.linspace(k_L, k_U, 9)))
    mine = found.arms.claim
    worlds = HEADLINE.ravel()[np.zeros(len(c), int)]
    values = mine.quantity.at(mine, worlds, Accuracy(c, k))[0]
    assert found.bounds(0.02) == pytest.approx((values.min(), values.max()), abs=1e-9)
    assert values.min() < found.mean < values.max()
    # The difference of a world from itself: the bounds of both values, at half of the tail each.
    (leg,) = found.arms.legs
    falls = claim(quantity, "increasing", along="p_spu")
    twice = replace(
        found, arms=replace(found.arms, claim=falls, legs=[leg, leg]), samples=2 * found.samples
    )
    low, high = found.bounds(0.01)
    assert twice.bounds(0.02) == pytest.approx((low - high, high - low), abs=1e-9)
    assert twice.mean == 0


def test_a_shortfall_below_zero_shows_itself():
    """No classifier has these accuracies in this world: the Bayes rule's and half a point more."""
    c, k = (float(x) + 0.005 for x in Bayes().accuracy(HEADLINE))
    low, high = sample("shortfall", np.full(9, c), np.full(9, k)).bounds(0.01)
    assert (low, high) == pytest.approx((-0.005, -0.005), abs=1e-8)


def test_where_a_curve_is_flat_the_bounds_are_as_wide_as_possible():
    silent = {name: getattr(HEADLINE, name) for name in BOX} | {"mu_spu": 0.0}
    assert sample(
        "equivalent-correlation", np.full(9, 0.8), np.full(9, 0.8), World(**silent)
    ).bounds(0.01) == (0, 1)
    arms = arms_at(
        claim("equivalent-correlation", subject="linear", against="least-squares"), silent
    )
    assert measured(arms, np.full((4, 9), 0.8)).bounds(0.01) == (-1, 1)


@pytest.mark.parametrize("relation", ["increasing", "decreasing"])
def test_differences_along_a_parameter_and_between_learners_have_the_signs_of_the_truth(relation):
    """The mean of the measured value is the truth, and its bounds contain it."""
    point = {
        "p_spu": 0.8,
        "mu_spu": 1.2,
        **{name: BOX[name] for name in ("sigma_xi", "dim_image", "dim_text")},
    }
    rising = claim(
        "equivalent-correlation", relation, along="p_spu", subject="linear", against="least-squares"
    )
    arms = arms_at(rising, {**point, "p_spu_later": 0.9})
    found = measured(arms, arms.draws(8, 0))
    early = float(truth(rising, arms_at(claim("shortfall"), {**point, "p_spu": 0.8}).here)[0])
    late = float(truth(rising, arms_at(claim("shortfall"), {**point, "p_spu": 0.9}).here)[0])
    due = early - late if relation == "increasing" else late - early
    assert found.mean == pytest.approx(due, abs=1e-4)
    low, high = found.bounds(0.001)
    assert low < due < high


@pytest.mark.parametrize("p_inv", [1.0, 0.8])
def test_even_images_have_the_accuracies_of_the_closed_form(p_inv):
    world = HEADLINE.model_copy(update={"p_inv": p_inv})
    for learner in (InfoNCE("name"), Bayes()):
        replicates = even_accuracies(learner, world, 0, "test", range(64))
        off = (replicates.mean(axis=0) - [*map(float, learner.accuracy(world))]) / (
            replicates.std(axis=0, ddof=1) / 8
        )
        spend(SHARE)
        assert np.abs(off).max() < stats.t.isf(SHARE / 8, 63)
        # less than half of drawn images
        assert replicates.std(axis=0).max() < 0.006 < np.sqrt(0.7 * 0.3) / EVEN / 2


def test_where_misses_are_rare_all_even_images_are_counted():
    found = even_sample(np.array([1.0, 1.0, 1 - 2 / EVEN**2]))
    images = 3 * EVEN**2
    assert found.bounds(0.01) == pytest.approx(binomial_bounds(images - 2, images, 0.01))


def test_equal_sets_of_even_images_do_not_show_their_mean_exactly():
    """All hits of 32 sets can agree by chance, since few cells lie on the boundary: they scatter by
    a hit at least.
    """
    low, high = even_sample(np.full(32, 0.8)).bounds(0.001)
    assert (
        high - 0.8
        == pytest.approx(0.8 - low)
        == pytest.approx(stats.t.isf(0.001, 31) / EVEN**2 / np.sqrt(32))
    )


@pytest.mark.deep
@pytest.mark.parametrize(
    ("learner", "fields"),
    [
        (InfoNCE("name"), {}),
        # Of 400 drawn worlds the most skewed ones, among those whose hits scatter by one and by
        # less than one.
        (
            Bayes(),
            {
                "p_spu": 0.645,
                "mu_spu": 1.94,
                "sigma_inv": 1.44,
                "sigma_spu": 0.143,
                "sigma_xi": 0.193,
            },
        ),
        (
            Bayes(),
            {
                "p_spu": 0.973,
                "mu_spu": 2.94,
                "sigma_inv": 0.354,
                "sigma_spu": 0.342,
                "sigma_xi": 0.548,
            },
        ),
        (Bayes(), {"mu_spu": 3.0, "sigma_inv": 0.5, "sigma_spu": 0.7, "sigma_xi": 0.5}),
        # rare
        (
            InfoNCE("mean"),
            {"p_spu": 0.95, "mu_spu": 2.5, "sigma_inv": 0.5, "sigma_spu": 0.3, "sigma_xi": 0.5},
        ),
    ],
)
def test_bounds_of_even_images_hold_at_the_tails_that_decide(learner, fields):
    """That of a contradiction, divided between two groups; samples of 32 sets are drawn from 2000
    sets.
    """
    world = HEADLINE.model_copy(update=fields)
    samples = 10_000
    tail = ALPHA / 2 / 2
    pool = np.concatenate(
        [even_accuracies(learner, world, 0, "c", range(i, i + 250)) for i in range(0, 2000, 250)]
    )
    rng = np.random.default_rng(0)
    due = pool.mean(axis=0)
    sets = (pool[rng.integers(len(pool), size=32)].T for _ in range(samples))
    bounds = np.array(
        [[even_sample(rates).bounds(tail / SPARED) for rates in groups] for groups in sets]
    )
    missed = (bounds[..., 0] > due).sum(axis=0), (bounds[..., 1] < due).sum(axis=0)
    spend(SHARE)
    assert np.max(missed) <= stats.binom.isf(SHARE / 4, samples, tail)


def test_a_share_of_trainings_is_about_places_of_single_trainings():
    arms = arms_at(
        claim("shortfall", subject="linear", n=50, share=0.95),
        {**AT, "sigma_xi": HEADLINE.sigma_xi},
    )
    (sample,) = measured(arms, arms.draws(8, 0)).samples
    assert set(sample.values) <= {0.0, 1.0}


def test_every_set_of_even_images_counts_once():
    """Sets are computed in blocks; a set in two blocks would make the scatter of the mean too
    small.
    """
    size = 2 * budget.EVEN_SETS.fewest + 1
    drawn = Arm(HEADLINE, Bayes(), 0, "even images", size, 0, "test").accuracies()
    assert drawn.common.shape == drawn.counter.shape == (size,)
    last = even_accuracies(Bayes(), HEADLINE, 0, "test/images", [size - 1])
    assert (drawn.common[-1], drawn.counter[-1]) == pytest.approx((last[0, 0], last[0, 1]))


def test_a_verdict_names_the_route_and_rests_on_enough_sets():
    found = judge(claim("shortfall", ">=", domain={**BOX, "p_spu": 0.9, "mu_spu": 1.5}), quick=True)
    assert (found.route, found.replicates >= budget.EVEN_SETS.fewest) == ("even images", True)
    assert found.n == found.replicates * EVEN**2
    assert found.interval[0] < found.measured < found.interval[1]


def test_the_tails_of_all_looks_add_up_to_the_whole():
    """Every arm's looks are at most LOOKS, from the fewest values to the most."""
    assert (budget.LOOKS - 1) * budget.STRICT + budget.FINAL <= 1
    for fewest, most in product((8, 32, 20_000), (8, 20, 33, 800, 4000, 200_000, 4_000_000)):
        looks = budget.Effort(fewest, max(fewest, most)).looks
        assert len(looks) <= budget.LOOKS
        assert looks[-1] == max(fewest, most)
        assert looks[0] in (fewest, looks[-1])
        assert (np.diff(looks) > 0).all()


AT = {"p_spu": 0.9, "mu_spu": 1.5, "sigma_xi": 0.5, "dim_image": 2, "dim_text": 2}
TRAINED = closed_form.claim(relation="<=", domain=AT, subject="linear", n=10_000)


@pytest.mark.parametrize(("shift", "decided"), [(-0.03, True), (0.03, True), (0.0, False)])
def test_a_measurement_ends_where_its_bounds_decide(shift, decided, monkeypatch):
    """Each look adds values on a stream of its own, and looks at all of them."""
    monkeypatch.setattr(budget, "LAWS", budget.LAWS._replace(most=3000))
    arms = arms_at(TRAINED, AT)
    mean = measured(arms, arms.draws(20_000, 1)).mean
    blocks = []
    of_stream = Arms.draws

    def spy(arms, size, seed):
        blocks.append((seed, of_stream(arms, size, seed)))
        return blocks[-1][1]

    monkeypatch.setattr(Arms, "draws", spy)
    found = gather(TRAINED, AT, limit=mean + shift, tail=0.005, purpose="worst", seed=0)
    assert (
        found.samples[0].values.tolist()
        == np.concatenate([block[0] for _, block in blocks]).tolist()
    )
    assert len({seed for seed, _ in blocks}) == len(blocks)
    looks = budget.LAWS.looks
    assert [block.shape[-1] for _, block in blocks] == np.diff([0, *looks])[: len(blocks)].tolist()
    assert (found.size < looks[-1], found.share) == (
        decided,
        budget.STRICT if decided else budget.FINAL,
    )
    low, high = found.violation()
    assert (low > mean + shift or high < mean + shift) == decided
    assert (found.note is None) == decided


def test_a_p_value_agrees_with_the_decision_at_every_look():
    """With the violation at the bound, p is the tail itself at the last look, and a few thousandths
    of it before.
    """
    values = np.random.default_rng(0).normal(0.5, 0.01, 32)
    tail = 0.005
    for share, most in ((budget.STRICT, budget.LOOKS * budget.STRICT), (budget.FINAL, 1.0)):
        low, _ = Sample(values, normal=True).bounds(tail * share)
        for edge, below in ((-1e-9, True), (1e-9, False)):
            claim = replace(TRAINED, prediction=lambda w, at=low - TRAINED.tau + edge: at)
            found = measured(arms_at(claim, AT), values[None], tail, share)
            assert (found.violation().low > claim.tau) == below
            assert found.p_value == pytest.approx(most * tail, rel=1e-4)


@pytest.mark.deep
@pytest.mark.parametrize(("skewness", "times"), [(0.0, 1), (-0.6, 1), (-1.0, 1), (-2.0, 2)])
def test_lower_bounds_of_skewed_values_hold_over_all_looks(skewness, times):
    """Looks at 8, 32, 128 and 800 fits. A single look at 8 values of skewness -2 is wrong ten times
    its tail.
    """
    tail = 0.005
    designs = 20_000
    sizes = budget.Effort(8, 800).looks
    rng = np.random.default_rng(0)
    wrong = np.zeros(designs, bool)
    shape = 4 / max(skewness**2, 1e-6)  # of a gamma law, which is nearly normal if it is large
    for start in range(0, designs, 2000):
        x = (shape - rng.gamma(shape, size=(2000, sizes[-1]))) / shape**0.5
        for size in sizes:
            share = budget.FINAL if size == sizes[-1] else budget.STRICT
            wrong[start : start + 2000] |= t_bounds(x[:, :size], tail * share).low > 0
    spend(SHARE)
    assert wrong.sum() <= stats.binom.isf(SHARE, designs, times * tail)
