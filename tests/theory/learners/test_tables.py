"""Laws of learners in worlds with a table, against drawn images, densities written out, and worlds
without one.
"""

from itertools import product

import numpy as np
import pytest
from mpmath import mpf, npdf, sqrt, workdps
from reference import log_densities
from scipy.special import expit, logsumexp, ndtr, softmax

from simulator.accuracy import Accuracy
from simulator.mixture import COMMON, COUNTER, UNSEEN
from simulator.world import World
from theory import learners
from theory.ideal_curve import equivalent, equivalent_of_draws
from theory.learners import bayes, infonce
from theory.learners.bayes import ideal_rules
from theory.learners.max_margin import hinge_loss
from theory.quadrature import REPLICATES

FIELDS = {"mu_inv": 1.3, "mu_spu": 2.0, "sigma_inv": 0.9, "sigma_spu": 0.6, "sigma_xi": 4.0}


def random_world(K: int, A: int, **fields) -> World:
    """A third of the cells are empty, but every class and every background occurs."""
    rng = np.random.default_rng([K, A])
    table = rng.gamma(1.0, size=(K, A)) * (rng.random((K, A)) > 1 / 3)
    table += 0.2 * np.eye(K, A)
    return World(table=(table / table.sum()).tolist(), **{**FIELDS, **fields})


def test_a_table_is_estimated_within_a_budget(monkeypatch):
    """Points are counted, since seconds depend on the machine."""
    world = random_world(4, 3, p_inv=0.9)
    sizes = []
    score = infonce.prompt_scores
    monkeypatch.setattr(
        infonce, "prompt_scores", lambda x, *rest: sizes.append(len(x)) or score(x, *rest)
    )
    fine = learners.InfoNCE().accuracy(world)
    assert 2 * REPLICATES * 2**18 < 4 * 4 * 3 * sum(sizes) <= 2 * REPLICATES * 2**19
    monkeypatch.setattr(infonce, "TERMS", 2**16)
    rough = learners.InfoNCE().accuracy(world)
    # 7.3 errors
    for one, other, *ends in zip(rough, fine, rough.interval, fine.interval, strict=True):
        assert abs(one - other) < 7.3 * np.hypot(*(high - low for low, high in ends)) / 4.26
    assert max(high - low for low, high in rough.interval) < 0.02


@pytest.mark.deep
def test_intervals_of_drawn_cells_cover(monkeypatch):
    """Of 80 intervals with coverage .95, fewer than 66 hold the truth once in 1e5 runs; with .7, in
    .992 of them.
    """
    world = random_world(3, 2, p_inv=0.9)
    truth = infonce.table_accuracy(world, "name", seed=1000)
    monkeypatch.setattr(infonce, "TERMS", 2**12)
    found = [infonce.table_accuracy(world, "name", seed) for seed in range(80)]
    assert np.ptp(truth.interval.ends["common"]) < 0.1 * np.ptp(found[0].interval.ends["common"])
    held = [
        low < truth.common < high for low, high in (one.interval.ends["common"] for one in found)
    ]
    assert sum(held) >= 66


def test_scores_leave_out_what_silent_captions_give_all_prompts():
    """Captions may say nothing wherever prompts differ. Differences of p(x_I, p_y)/p(p_y) between
    prompts stay.
    """
    world = random_world(2, 3, p_inv=0.8, mention_inv=0.5, mention_spu=0.6, sigma_xi_text=2.0)
    x = np.random.default_rng(0).normal(size=(400, world.latents)) * 2
    texts = world.prompts("mean")
    joint = [log_densities(world, x, np.broadcast_to(t, x.shape)) for t in texts]
    ratios = np.exp(
        logsumexp(joint, axis=2).T - logsumexp(log_densities(world, None, texts), axis=1)
    )
    scores = learners.InfoNCE("mean").scores(world, x)
    kept = np.isfinite(scores).all(axis=1)  # -inf where the rest is not above 0
    assert kept.sum() > 10
    np.testing.assert_allclose(
        np.diff(np.exp(scores))[kept], np.diff(ratios)[kept], rtol=1e-7, atol=1e-12
    )


def exact_scores(world: World, x: np.ndarray, texts: np.ndarray) -> list:
    """p(x, t)/p(t) of every text t of a world with two classes and two backgrounds, to 250
    digits.
    """
    nu_I = mpf(float(world.nu_image))
    nu_T = mpf(float(world.nu_text))
    result = []

    def block(b, sign, t, image):
        mu = mpf(float(world.mean[b]))
        sigma = mpf(float(world.scale[b]))
        pi = mpf(float(world.mention[b]))
        total = mpf(0)
        for said, chance in ((0, 1 - pi), (1, pi)):
            m = mu * sign
            v = sigma**2 + nu_I
            w = said * sigma**2 + nu_T
            c = said * sigma**2
            along = t - said * m
            if not image:
                total += chance * npdf(along, 0, sqrt(w))
                continue
            given = v - c**2 / w
            total += (
                chance
                * npdf(along, 0, sqrt(w))
                * npdf(mpf(x[b]) - m - c / w * along, 0, sqrt(given))
            )
        return total

    for text in texts:
        joint, alone = (
            sum(
                mpf(world.table[y][a])
                * block(0, 1 - 2 * y, mpf(text[0]), image)
                * block(1, 1 - 2 * a, mpf(text[1]), image)
                for y, a in product(range(2), repeat=2)
            )
            for image in (True, False)
        )
        result.append(joint / alone)
    return result


@pytest.mark.parametrize("prompt", ["name", "mean", "background"])
@pytest.mark.parametrize(
    "table",
    [
        [[0.375, 0.125], [0.125, 0.375]],
        [[0.375, 0.125], [0.25, 0.25]],
        [[0.5, 0.125], [0.25, 0.125]],
    ],
)
def test_very_little_noise_and_masks_leave_the_order_of_scores(prompt, table):
    """Silence explains an image far from all prompts better than any of them; what they differ in
    was rounded away.
    """
    world = World(
        table=table, mu_spu=1.5, mention_inv=0.5, mention_spu=0.7, sigma_xi=0.25, sigma_xi_text=0.3
    )
    texts = world.prompts(prompt)
    images = np.random.default_rng(1).normal(0, 1.6, (12, 2))
    scores = learners.InfoNCE(prompt).scores(world, images)
    with workdps(250):
        expected = [exact_scores(world, x, texts) for x in images]
        first = [one > two for one, two in expected]
    assert (scores[:, 0] > scores[:, 1]).tolist() == first
    assert 0 < sum(first) < 12


@pytest.mark.parametrize(("K", "A"), [(2, 2), (2, 4), (3, 3)])
@pytest.mark.parametrize("name", ["least-squares", "logistic", "max-margin"])
def test_the_loss_of_drawn_images_is_level_at_the_minimiser(K, A, name):
    """1e5 images or more; each slope is within 5 of its standard errors of 0, with a false-alarm
    rate of 2e-5.
    """
    world = random_world(K, A)
    rng = np.random.default_rng(2)
    mixture = world.mixture()
    group = rng.choice(len(mixture.labels), 400_000 if K == 2 else 100_000, p=mixture.weights)
    x = mixture.means[group] + rng.standard_normal((len(group), world.latents)) * np.sqrt(
        mixture.variances + world.nu_image
    )
    y = np.eye(K)[mixture.labels[group]]
    features = np.column_stack([x, np.ones(len(x))])
    critic = learners.named(name).critic(world)
    weights = np.concatenate([critic.inside, critic.intercept[..., None]], axis=-1).mean(axis=0)
    score = features @ weights.T
    if K == 2:
        sign = y[:, :1] - y[:, 1:]
        slope = {
            "least-squares": score - sign,
            "logistic": -sign * expit(-sign * score),
            "max-margin": -sign * np.maximum(1 - sign * score, 0),
        }[name]
    elif name == "max-margin":
        slope = hinge_loss(score, mixture.labels[group])[1]
    else:
        slope = score - y if name == "least-squares" else softmax(score, axis=1) - y
    slopes = slope[:, :, None] * features[:, None]
    sampled = 1e-4 if K > 2 and name != "least-squares" else 1e-9  # the minimiser of sampled losses
    assert (np.abs(slopes.mean(axis=0)) < 5 * slopes.std(axis=0) / np.sqrt(len(x)) + sampled).all()


# A class that training shows with one background alone, beside a class with two.
HOLE = World(table=[[0.4, 0.2], [0.4, 0.0]], **FIELDS)


def ideal_on_lattice(world: World, weights: np.ndarray) -> np.ndarray:
    """Group accuracies of the Bayes rule of HOLE's groups with some weights: the object's threshold
    on a lattice.
    """
    a, b = (world.mean / np.sqrt(world.scale**2 + world.nu_image))[:2]
    t = np.arange(-2000, 2001) / 200
    mass = np.exp(-(t**2) / 2) / np.exp(-(t**2) / 2).sum()
    cells = {
        (0, 0): (COMMON, 0.5),
        (0, 1): (COUNTER, 1.0),
        (1, 0): (COMMON, 0.5),
        (1, 1): (UNSEEN, 1.0),
    }
    found = np.zeros(3)
    for (y, background), (group, share) in cells.items():
        s = b * (1 - 2 * background) + t
        prior = [
            logsumexp(
                [
                    np.log(weights[g] * w) + b * (1 - 2 * a_) * s
                    for (k, a_), (g, w) in cells.items()
                    if k == k_
                ],
                axis=0,
            )
            for k_ in (0, 1)
        ]
        threshold = (prior[1] - prior[0]) / (2 * a)
        found[group] += share * (ndtr(a + (-threshold if y == 0 else threshold)) @ mass)
    return found


@pytest.mark.parametrize("learner", [learners.LinearCLIP("name"), learners.Logistic()])
def test_the_place_of_three_groups_is_the_minimum_over_their_weights(learner):
    accuracy = Accuracy.of([*learner.accuracy(HOLE)])
    place = equivalent(HOLE, accuracy)
    own = np.stack([*accuracy])

    def regret(*weights):
        return np.array(weights) @ (ideal_on_lattice(HOLE, np.array(weights)) - own)

    found = np.clip(
        [place.correlation, 1 - place.correlation - place.unseen, place.unseen], 1e-12, 1
    )
    assert place.shortfall == pytest.approx(regret(*found), abs=2e-4)
    lattice = [(i / 12, j / 12, 1 - (i + j) / 12) for i in range(1, 12) for j in range(1, 12 - i)]
    assert min(regret(*weights) for weights in lattice) > place.shortfall - 2e-4


@pytest.mark.parametrize(
    ("fields", "accuracy"),
    [
        ({"mu_spu": 0.0}, (0.8, 0.8, 0.8)),
        # the object says all; weighted means of ones may be above 1
        ({"mu_inv": 30.0}, (1.0, 1.0 + 1e-15, 1.0)),
    ],
)
def test_three_groups_that_tell_nothing_have_no_place(fields, accuracy):
    place = equivalent(HOLE.replace(**fields), Accuracy.of([*accuracy]))
    assert np.isnan([place.correlation, place.unseen]).all()
    assert np.isfinite(place.shortfall)


@pytest.mark.parametrize(
    ("K", "A", "weights"), [(2, 2, (0.5, 0.3, 0.2)), (3, 4, (0.6, 0.25, 0.15))]
)
def test_an_ideal_classifier_has_its_own_weights_and_no_shortfall(K, A, weights, monkeypatch):
    monkeypatch.setattr(bayes, "TERMS", 2**18)  # the curve has the same points
    world = HOLE if K == 2 else random_world(K, A)
    place = equivalent(world, Accuracy.of([*ideal_rules(world)(np.array(weights)).mean(axis=0)]))
    assert place.shortfall == pytest.approx(0, abs=1e-5)
    assert (place.correlation, place.unseen) == pytest.approx(
        (weights[COMMON], weights[UNSEEN]), abs=2e-3
    )


def test_three_groups_have_no_interval(monkeypatch):
    """Neither of one accuracy with an interval, nor of replicates."""
    monkeypatch.setattr(bayes, "TERMS", 2**12)
    accuracy = Accuracy.of([0.9, 0.6, 0.5], 0.95, [(0.89, 0.91), (0.59, 0.61), (0.49, 0.51)])
    assert equivalent(HOLE, accuracy).interval is None
    assert (
        equivalent_of_draws(HOLE, np.array([[0.9, 0.6, 0.5], [0.91, 0.6, 0.51]])).interval is None
    )


def test_without_counter_images_the_curve_runs_between_common_and_unseen_ones():
    world = World(table=np.eye(3) / 3, **FIELDS)
    place = equivalent(world, learners.LinearCLIP().accuracy(world))
    assert 0.2 < place.correlation < 0.9
    assert place.unseen is None
    assert -1e-3 < place.shortfall < 0.05


def test_a_flat_curve_ends_within_its_budget(monkeypatch):
    """The three groups differ by sampling errors alone; 502 rules were tried."""
    evaluate = bayes.bayes_replicates
    tried = []
    monkeypatch.setattr(
        bayes, "bayes_replicates", lambda *given: tried.append(given) or evaluate(*given)
    )
    table = [
        [0.0003318786478238689, 0.0, 0.0, 0.0006503047550813365],
        [0.6717832991242552, 0.002488421849329416, 0.00016974530157504362, 0.3245763503219352],
    ]
    blocks = {
        "mu_inv": -6.250738363247284e-11,
        "mu_spu": 0.001564552126646461,
        "sigma_inv": 806.2470692814895,
    }
    noise = {"sigma_spu": 0.006112822916758997, "sigma_xi": 32.119837501617134, "dim_image": 8}
    world = World(**blocks, **noise, table=table)
    equivalent(world, Accuracy(0.5000038146972656, 0.4999961853027344, unseen=0.4999580383300781))
    assert len(tried) < 120
