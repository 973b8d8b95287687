"""Classes whose scores are equal in exact arithmetic share the decision, against their scores on
drawn images.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.accuracy import decision, won
from simulator.world import World
from theory import learners
from theory.learners import bayes, infonce

NOISE = {"sigma_inv": 0.8, "sigma_spu": 0.6, "sigma_xi": 4.0}


@st.composite
def tied_worlds(draw) -> tuple[World, np.ndarray]:
    """A world with a table, whose objects say nothing of the class, and which classes have equal
    rows of it.
    """
    K = draw(st.integers(2, 6))
    A = draw(st.integers(2, 3))
    kinds = draw(
        st.lists(st.lists(st.integers(1, 5), min_size=A, max_size=A), min_size=1, max_size=2)
    )
    kind = np.array(draw(st.lists(st.integers(0, len(kinds) - 1), min_size=K, max_size=K)))
    rows = np.array(kinds)[kind]
    blind = draw(st.sampled_from([{"mu_inv": 0.0}, {"mu_inv": 1.1, "p_inv": 1 / K}]))
    shown = {
        "mu_spu": draw(st.sampled_from([1.5, -1.5])),
        "mention_inv": draw(st.sampled_from([0.0, 0.7, 1.0])),
    }
    world = World(table=(rows / rows.sum()).tolist(), **blind, **shown, **NOISE)
    return world, (rows[:, None] == rows).all(axis=-1)


def assert_shared(learner, world: World, tied: np.ndarray, images: int) -> None:
    """The accuracies are those of a rule that draws lots among tied classes, within 5 deviations of
    the count.
    """
    mixture = world.mixture()
    rng = np.random.default_rng(0)
    G = len(mixture.labels)
    n = images // len(mixture.labels)
    noise = rng.standard_normal((G, n, world.latents)) * np.sqrt(mixture.variances + world.nu_image)
    first = learner.scores(world, (mixture.means[:, None] + noise).reshape(G * n, -1)).argmax(
        axis=1
    )
    right = (tied[first, np.repeat(mixture.labels, n)] / tied.sum(axis=1)[first]).reshape(G, n)
    share = np.array(
        [np.where(mixture.test_groups == g, mixture.test_weights, 0.0) for g in range(3)]
    )
    counted = mixture.group_average(right.mean(axis=1))
    spread = np.sqrt(share**2 @ right.var(axis=1) / n) / np.maximum(share.sum(axis=1), 1e-9)
    accuracy = learner.accuracy(world)
    halves = [(high - low) / 4.26 for low, high in accuracy.interval] if accuracy.interval else 0.0
    # a point of a net may lie at a boundary
    allowed = 5 * np.hypot(spread[: len(counted)], halves) + 1e-3
    off = np.abs(np.stack([*accuracy]) - counted)  # nan for a group without images
    assert (np.isnan(counted) | (off < allowed)).all()


@pytest.mark.parametrize(
    ("learner", "images", "examples"),
    [
        (learners.LinearCLIP("mean"), 20_000, 6),
        (learners.LinearCLIP("background"), 20_000, 6),
        (learners.LeastSquares(), 20_000, 6),
        (learners.Bayes(), 5_000, 6),
        (learners.InfoNCE("mean"), 800, 3),
    ],
    ids=lambda x: f"{getattr(x, 'name', '')} {getattr(x, 'prompt', '')}",
)
def test_classes_with_equal_rows_share_the_decision(learner, images, examples):
    @settings(max_examples=examples)
    @given(tied_worlds())
    def each(drawn):
        world, tied = drawn
        if getattr(learner, "prompt", None) == "background" and world.mu_inv != 0:
            tied = np.eye(world.classes, dtype=bool)  # captions name different objects
        assert_shared(learner, world, tied, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(infonce, "TERMS", 2**16)
        patch.setattr(bayes, "TERMS", 2**18)
        each()


@pytest.mark.parametrize(
    "learner", [learners.Logistic(), learners.MaxMargin()], ids=lambda x: x.name
)
def test_supervised_rules_of_samples_share_the_decision(learner):
    for rows, fields in (
        ([[4, 1], [1, 4], [4, 1]], {"mu_inv": 0.0}),
        ([[1, 3], [1, 3]], {"mu_inv": 1.0, "p_inv": 0.5}),
    ):
        rows = np.array(rows)
        world = World(table=(rows / rows.sum()).tolist(), mu_spu=1.5, **fields, **NOISE)
        assert_shared(learner, world, (rows[:, None] == rows).all(axis=-1), 20_000)


def test_a_narrow_embedding_that_loses_the_objects_leaves_equal_rows_tied():
    table = np.array([[0, 0, 0, 3], [0, 0, 0, 3], [3, 0, 3, 0], [2, 2, 1, 0]]) / 17
    world = World(table=table.tolist(), mu_inv=2.86, mu_spu=2.2, sigma_xi=6.0)
    tied = np.eye(4, dtype=bool)
    tied[0, 1] = tied[1, 0] = True
    assert_shared(learners.LinearCLIP("background", embed_dim=2), world, tied, 200_000)


@pytest.mark.parametrize("table", [[[5, 1, 2], [1, 4, 1], [2, 1, 3]], [[5, 1], [1, 4], [2, 3]]])
def test_a_narrow_embedding_that_loses_all_that_prompts_tell_scores_zero(table):
    """The objects fill it, but they tell nothing of the class; what rounding leaves of the
    backgrounds is no score.
    """
    table = (np.array(table) / np.sum(table)).tolist()
    world = World(
        table=table, mu_inv=1.1, p_inv=1 / 3, mu_spu=1.0, sigma_inv=3.0, sigma_spu=0.3, sigma_xi=4.0
    )
    learner = learners.LinearCLIP("mean", embed_dim=2)
    assert (learner.critic(world).inside == 0).all()
    assert [*learner.accuracy(world)] == pytest.approx([1 / 3, 1 / 3], abs=1e-12)


@pytest.mark.parametrize("K", [2, 3, pytest.param(6, marks=pytest.mark.deep)])
@pytest.mark.parametrize(
    "fields",
    [{"mu_inv": 0.0}, {"mention_inv": 0.0, "mention_spu": 0.0}, {"p_inv": 0.0, "mu_inv": 0.5}],
)
def test_a_world_in_which_nothing_tells_the_class_is_decided_by_lot(K, fields):
    """p_inv = 0 stands for 1/K; backgrounds are independent of the class."""
    fields = {"p_spu": 1 / K, "mu_spu": 1.3, **NOISE, **fields}
    if "p_inv" in fields:
        fields["p_inv"] = 1 / K
    world = World(classes=K, **fields)
    rules = [learners.LinearCLIP("mean"), learners.GaussianPMI("mean")]
    rules += [learners.InfoNCE("mean")] if K < 6 else []  # slow
    if "mention_inv" not in fields:
        rules += [
            learners.LeastSquares(),
            learners.Bayes(),
            learners.Logistic(),
            learners.MaxMargin(),
        ]
    for learner in rules:
        assert [*learner.accuracy(world)] == pytest.approx([1 / K, 1 / K], abs=1e-9), learner


@given(
    st.integers(2, 6),
    st.integers(1, 6),
    st.floats(1e-6, 1e6),
    st.sampled_from([np.float32, np.float64]),
)
def test_rounding_decides_nothing(K, k, scale, kind):
    """k scores are equal up to the last digit; the others are lower, some of them minus
    infinity.
    """
    k = min(k, K)
    rng = np.random.default_rng(K)
    score = (scale * np.where(np.arange(K) < k, 1.0, 0.5)).astype(kind)
    noisy = np.where(rng.random((50, K)) < 0.5, score, np.nextafter(score, kind(np.inf)))
    noisy[:, k + 1 :] = -np.inf
    assert (decision(noisy) == np.where(np.arange(K) < k, 1 / k, 0.0)).all()
    assert (won(noisy, K - 1) == (1 / k if k == K else 0.0)).all()
    assert (decision(np.full((2, K), -np.inf)) == 1 / K).all()
