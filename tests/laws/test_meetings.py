"""Law 4: options meet in pairs, and each meeting is compared with the groups written out, or with
drawn pairs.
"""

from itertools import product

import numpy as np
import pytest
import torch
from laws.grids import distinct, every_learner, tried
from laws.meetings import FIELDS, KINDS, covering, met, options_of, world_of
from reference import (
    first_coordinates,
    gaussian_scores,
    group_scores,
    latent_cross_covariance,
    matched_pairs,
    moments_of_pairs,
    pooled_scores,
)
from scipy.special import ndtr
from stattest import assert_mean

from experiments.court.arms import rarest
from experiments.finite_samples import IMAGES, fitted_critics, image_accuracy
from simulator.accuracy import GROUPS, won
from simulator.gaussian import pairs
from simulator.gaussian.critic import gaussian_points
from simulator.gaussian.fitting import score_vectors
from simulator.gaussian.statistics import projected_scatter
from simulator.prompts import PROMPTS, prompt_row
from simulator.samplers import SAMPLERS, chosen, group_numbers
from simulator.streams import numpy_stream
from simulator.world import SCALARS, Attribute, World
from theory.learners import Bayes, GaussianPMI, InfoNCE, LinearCLIP
from theory.learners.base import UNDEFINED, block_weights
from theory.learners.filtered import Filtered

LEAST = 0.6  # of all pairs of values meet in a row that is answered


def rows_of(learner, *options, seed=0, **fixed):
    """A covering array of a learner's options and the fields of a world, and the rows that are
    answered.
    """
    choices = (
        FIELDS | options_of(learner, *options) | {name: [value] for name, value in fixed.items()}
    )
    rows = covering(choices, seed)
    answered = []
    refusals = {}
    for row in rows:
        asked = learner(**{name: row[name] for name in choices if name not in FIELDS})
        try:
            asked.scores(world_of(row), np.zeros((1, world_of(row).latents)))
        except UNDEFINED as error:
            refusals.setdefault(str(error).split(",")[0].split(":")[0], []).append(row)
        else:
            answered.append((asked, world_of(row), row))
    possible = met(rows)
    covered = met([row for _, _, row in answered])
    print(
        f"{learner.__name__}: {len(covered)} of {len(possible)} pairs in {len(answered)} of"
        f" {len(rows)} rows"
    )
    for reason, refused in refusals.items():
        print(f"  {len(refused)} refused: {reason}")
    assert len(covered) >= LEAST * len(possible)
    return answered


def gaps(scores):
    return scores - scores.mean(axis=1, keepdims=True)


def images_of(world):
    return gaussian_points(world.latents, 6, 0) * 2


def test_infonce_decides_as_the_pmi_of_the_groups_of_pairs():
    for learner, world, row in rows_of(InfoNCE):
        if prompt_row(learner.prompt).pool is None:
            images = images_of(world)
            expected = group_scores(world, learner.prompt, images)
            # scores leave out what captions that say nothing give all prompts
            sure = np.ptp(expected, axis=1) > 1e-9
            found = learner.scores(world, images)
            assert np.array_equal(found.argmax(axis=1)[sure], expected.argmax(axis=1)[sure]), row


@pytest.mark.parametrize("prompt", [name for name in PROMPTS if prompt_row(name).pool])
def test_infonce_pools_the_scores_of_drawn_captions(prompt):
    """Six errors of 600 captions per class. Scores of a log-mean-exp have its decisions, and no
    scale.
    """
    for learner, world, row in rows_of(InfoNCE, seed=3, kind="plain", prompt=prompt):
        images = images_of(world)[:40]
        pool = prompt_row(prompt).pool
        sure = 0
        expected, error = pooled_scores(world, pool, images, np.random.default_rng(0))
        found, expected = (
            np.subtract(*scores.T) for scores in (learner.scores(world, images), expected)
        )
        if pool == "mean":
            assert np.all(np.abs(found - expected) < 6 * error + 1e-6), row
        sure = np.abs(expected) > 6 * error
        assert sure.sum() > 10, row
        assert np.array_equal(np.sign(found[sure]), np.sign(expected[sure])), row


def decided(learner, world, power):
    """Group accuracies of a learner's scores on 2^power even images of every group that is
    tested.
    """
    mixture = world.mixture()
    right = np.zeros(len(mixture.labels))
    for g in np.flatnonzero(mixture.test_weights):
        images = mixture.means[g] + np.sqrt(mixture.image_variances) * gaussian_points(
            world.latents, power, 0
        )
        right[g] = won(learner.scores(world, images), mixture.labels[g]).mean()
    return mixture.group_average(right)


def test_infonce_is_as_accurate_as_its_scores_say():
    """Along boundaries in a plane: at least the share of even images, to the error that 2^13 of
    them leave.
    """
    plain = [
        (learner, world, row) for learner, world, row in rows_of(InfoNCE) if row["kind"] == "plain"
    ]
    for learner, world, row in plain:
        if prompt_row(learner.prompt).pool is None:
            assert (
                np.abs(np.array([*learner.accuracy(world)]) - decided(learner, world, 13)).max()
                < 1e-3
            ), row


def test_attributes_of_unlike_spreads_are_integrated_each_over_its_own():
    """The last one has twice the spread of the first, and decides: to the error that 2^11 even
    images leave.
    """
    world = World(
        p_spu=0.9,
        mu_spu=1.5,
        attribute=(Attribute(p=0.99, mu=3.0, sigma=2.0),),
        dim_image=9,
        dim_text=9,
    )
    learner = InfoNCE("background")
    assert np.abs(np.array([*learner.accuracy(world)]) - decided(learner, world, 11)).max() < 3e-3


TOLD = {"detail_inv": 0.6, "mention_spu": 0.6, "bare": 0.3, "p_inv": 0.9, "sigma_xi_text": 2.5}
# minimisers of sampled losses, which take half a minute; the loss is level there
SAMPLED = ("logistic", "max-margin")


def plainly(learner):
    """Whether it has no option but a prompt."""
    return learner == type(learner)(
        **({"prompt": learner.prompt} if hasattr(learner, "prompt") else {})
    )


def dear(learner, kind):
    return learner.name == "infonce" and learner.prompt != "bare" and kind != "plain"


@pytest.mark.parametrize(
    ("learner", "kind"),
    [
        pytest.param(learner, kind, marks=[pytest.mark.deep] * dear(learner, kind))
        for learner, kind in product(filter(plainly, every_learner()), KINDS)
        if learner.name not in ("printed", "siglip")  # SigLIP has InfoNCE's law without a scale
        if kind in ("plain", "attribute", "table") or learner.name not in SAMPLED
        if not (
            dear(learner, kind)
            and (prompt_row(learner.prompt).pool or learner.prompt == "background")
        )
    ],
    ids=str,
)
def test_a_rule_is_one_by_direction_critic_scores_and_accuracy(learner, kind):
    """Even images and both intervals err by .008 at most."""
    world = world_of({**TOLD, "kind": kind})
    if isinstance(tried(learner.accuracy, world), Exception):
        pytest.skip("no law")
    power = 9 if getattr(learner, "prompt", "") in ("captions", "scores") else 12
    assert (
        np.abs(np.array([*learner.accuracy(world)]) - decided(learner, world, power)).max() < 8e-3
    )
    if isinstance(critic := tried(learner.critic, world), Exception):
        return
    images = images_of(world)
    by_critic = images @ critic.inside.mean(axis=0).T + critic.intercept.mean(axis=0)
    by_critic = np.concatenate([by_critic, -by_critic], axis=1) if world.classes == 2 else by_critic
    found = gaps(learner.scores(world, images))
    expected = gaps(by_critic)
    np.testing.assert_allclose(
        found / np.linalg.norm(found), expected / np.linalg.norm(expected), atol=1e-8
    )
    if not isinstance(u := tried(learner.direction, world), Exception):
        same_direction(block_weights(critic.inside.mean(axis=0)), u, 1e-8)


def test_bayes_has_the_scores_of_the_groups():
    for _, world, row in rows_of(Bayes):
        images = images_of(world)
        expected = gaps(group_scores(world, None, images))
        np.testing.assert_allclose(
            gaps(Bayes().scores(world, images)), expected, atol=1e-8, err_msg=str(row)
        )


def test_gaussian_scores_have_the_moments_of_the_groups():
    for learner, world, row in rows_of(GaussianPMI):
        images = images_of(world)
        # both classes share their gap
        found = learner.scores(world, images) / (2 if world.classes == 2 else 1)
        found = gaps(found)
        expected = gaps(gaussian_scores(world, world.prompts(learner.prompt), images))
        if world.table is None:  # up to a factor
            found = found / np.linalg.norm(found)
            expected = expected / np.linalg.norm(expected)
        np.testing.assert_allclose(found, expected, atol=1e-8, err_msg=str(row))
        if world.table is None:
            same_direction(
                learner.direction(world), block_weights(learner.critic(world).inside[0]), 1e-9
            )


def grown(strength, time, start):
    """The flow of a mode, da/dt = 2 a (s - a), from `start`, by small steps; all of s at the end of
    time.
    """
    if time == np.inf:
        return strength
    a = np.full_like(strength, start)
    for _ in range(20_000):
        a = a + time / 20_000 * 2 * a * (strength - a)
    return a


def projected(told, learner, world):
    """Embeddings of the latents of captions without the directions that a learner takes out."""
    shown = (
        [0, 1, 0][: len(world.block_latents)]
        if learner.projected is True
        else learner.projected or [0]
    )
    lost = told @ np.kron(np.transpose([shown]), np.eye(world.latents // len(shown)))
    return told - lost @ np.linalg.pinv(lost) @ told


def by_modes(world, learner):
    """u_y = A q_y from the modes of the covariance of the groups of pairs."""
    left, s, right = np.linalg.svd(moments_of_pairs(world)[1][: world.latents, world.latents :])
    root = np.sqrt(grown(s, learner.time, learner.start))
    root[learner.embed_dim or len(s) :] = 0
    u = (
        world.prompts(learner.prompt)
        @ (left * root @ projected(root[:, None] * right, learner, world)).T
    )
    return u[:1] - u[1:] if world.classes == 2 else u


def same_direction(a, b, tolerance):
    a = a - a.mean(axis=0) if len(a) > 1 and a.ndim > 1 else a
    b = b - b.mean(axis=0) if len(b) > 1 and b.ndim > 1 else b
    np.testing.assert_allclose(a / np.linalg.norm(a), b / np.linalg.norm(b), atol=tolerance)


@pytest.mark.parametrize(
    ("options", "fixed"),
    [
        (("embed_dim", "time"), {}),
        (("start", "embed_dim"), {"time": 2.0, "mismatch": 0.0}),
        (("projected",), {}),
    ],
)
def test_linear_rules_are_those_of_the_modes(options, fixed):
    """A start means nothing without a time, so this stands fixed in a second array; the exact law
    begins there, too.
    """
    laws = 0
    for learner, world, _ in rows_of(LinearCLIP, *options, seed=1, **fixed):
        expected = by_modes(world, learner)
        tolerance = 1e-8 if learner.time == np.inf else 1e-3
        same_direction(learner.critic(world).inside[0], expected, tolerance)
        if world.table is None:
            same_direction(learner.direction(world), block_weights(expected), tolerance)
        if fixed and "exact" in learner.routes(world):
            (critic,) = learner.exact_law(world, 10**9, 1, 0, "law")
            same_direction(critic.inside[0], expected, 0.01)
            laws += 1
    assert not fixed or laws > 5


@pytest.mark.parametrize(
    "learner", [learner for learner in every_learner() if learner.name != "filtered"], ids=repr
)
def test_formulas_for_proofs_are_the_closed_forms(learner):
    """Where a learner has a formula: z-scores are those of its accuracies, and weights those of its
    direction.
    """
    world = distinct(5, p_inv=1.0, p_spu=1.0 if learner.name in ("logistic", "max-margin") else 0.8)
    if learner.name == "printed":  # the theorem is about these fields alone
        world = World(p_spu=[0.9, 0.95], mu_spu=[3.0, 4.0], sigma_spu=[0.5, 0.4], sigma_xi=0.0)
    if isinstance(found := tried(learner.deviations, world), Exception):
        pytest.skip("no formula")
    np.testing.assert_allclose(ndtr(found), [*learner.accuracy(world)], rtol=1e-10)
    if not isinstance(weights := tried(learner.weights, world), Exception):
        for u, expected in zip(np.stack(weights, axis=-1), learner.direction(world), strict=True):
            same_direction(u, expected, 1e-10)


def test_drawn_pairs_and_exact_scatters_have_the_moments_of_the_groups():
    drawn = []
    scatters = []
    moments = []
    covariances = []
    for _, world, _ in rows_of(Bayes, seed=2):
        own = world.draw(4000, seed=1)
        mean, covariance = moments_of_pairs(world)
        views = zip((own.images, own.texts), own.frames, strict=True)
        rows = np.concatenate([view.numpy() @ D for view, D in views], axis=1) - mean
        drawn.append((rows[:, :, None] * rows[:, None]).reshape(len(rows), -1))
        moments.append(covariance.ravel())
        if world.table is None:
            scatter = np.concatenate([*projected_scatter(world, 200, 64, 5)])
            scatters.append(scatter.reshape(len(scatter), -1))
            covariances.append(covariance.ravel())
    assert_mean(np.hstack(drawn), np.hstack(moments), effect=0.2, what="covariances of drawn pairs")
    assert_mean(np.hstack(scatters), np.hstack(covariances), effect=1.2, what="exact scatters")


# What n drawn pairs teach


def modal_vectors(x, t, w, q, world, learner):
    """Score vectors of linear CLIP: products of the pairs less those of all i != j, mode by mode,
    by embeddings.
    """
    n = len(x)
    others = 1 - np.eye(len(x))
    weighed = x.T * w
    left, s, right = np.linalg.svd(
        weighed @ t / n - weighed @ others @ (w[:, None] * t) / (n * (n - 1)), False
    )
    s = learner.strength(s)
    told = projected(np.sqrt(s)[:, None] * right[:, : world.latents], learner, world)
    return (left * np.sqrt(s) @ told @ q.T).T


def sets_of(world, n, count, sampler):
    """(images, captions, labels, weights) of sets of n pairs: the first, second and third n of one
    stream.
    """
    frames = first_coordinates(world)
    drawn = pairs.draw(world, n * count, 3, frames=frames, stream="law")
    for r in range(count):
        own = pairs.Pairs(
            *(getattr(drawn, name)[None, r * n : (r + 1) * n] for name in pairs.Pairs._fields)
        )
        if sampler.swaps:
            own = pairs.contradicted(own, world, frames[1], 3, r, streams=("law",))
        x, t, y, a = (field[0].numpy() for field in own)
        rows, weights = chosen(
            sampler,
            group_numbers(y, a, world.background_count),
            world,
            numpy_stream(3, f"law/{sampler.name}", r),
        )
        yield x[rows], t[rows], y[rows], weights


FITTED = [
    one for one in every_learner() if one.estimator and getattr(one, "prompt", "mean") == "mean"
]


def test_a_replicate_is_fitted_to_its_own_set_of_pairs(monkeypatch):
    """Every learner that has an estimator meets every sampler in worlds of every kind; blocks end
    within sets.
    """
    monkeypatch.setattr(pairs, "LARGEST_BLOCK", 70)
    fields = {name: FIELDS[name] for name in ("mention_spu", "bare", "mismatch", "kind")}
    rows = covering({"learner": FITTED, "sampler": [*SAMPLERS], "n": [40, 30], **fields})
    answered = []
    for row in rows:
        world = world_of(row)
        learner = row["learner"]
        sampler = SAMPLERS[row["sampler"]]
        world = world.replace(
            dim_image=world.latents + (learner.estimator == "linear"), sigma_xi=4.0
        )
        how = world, learner, row["n"], 3, 3, "law", sampler.name
        if isinstance(critics := tried(lambda *how: [*fitted_critics(*how)], *how), Exception):
            continue
        answered.append(row)
        found = [
            (
                critic.inside[i],
                critic.outside[i],
                np.broadcast_to(critic.intercept, critic.inside.shape[:2])[i],
            )
            for critic in critics
            for i in range(len(critic.inside))
        ]
        for each, (x, t, y, weights) in zip(
            found, sets_of(world, row["n"], 3, sampler), strict=True
        ):
            w = np.ones(len(x)) if weights is None else weights
            q = None
            if learner.estimator == "linear":
                q = sampler.captioned(world).prompts(learner.prompt)
                q = q[:1] - q[1:] if world.classes == 2 else q
                vectors = modal_vectors(x, t, w, q, world, learner)
            else:
                vectors = score_vectors(learner.estimator, x, y, world, weights)
                assert vectors.shape[1] == x.shape[1] + (world.table is not None), (
                    "a table has constants"
                )
            l, d = world.latents, world.dim_image
            constant = vectors[:, d] if vectors.shape[1] > d else np.zeros(len(vectors))
            expected = vectors[:, :l], vectors[:, l:d] @ vectors[:, l:d].T, constant
            for a, b in zip(each, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8, err_msg=str(row))
    covered = met(answered)
    possible = met(rows)
    print(len(covered), len(possible), len(answered), len(rows))
    assert len(covered) >= LEAST * len(possible)


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_images_of_a_group_have_its_accuracy(kind):
    """Six errors of so many images of each group."""
    world = world_of({**TOLD, "kind": kind})
    learner = LinearCLIP("mean")
    found = image_accuracy(learner, world, 0, "law")
    exact = learner.accuracy(world)
    for group in GROUPS:
        p = getattr(exact, group)
        if p is None:
            assert getattr(found, group) is None
        else:
            assert abs(getattr(found, group) - p) < 6 * np.sqrt(p * (1 - p) / (IMAGES / 2))


def test_filtered_pairs_are_the_drawn_ones_that_a_teacher_keeps():
    """100,000 pairs, reliance to .03; the teacher has the covariance of pairs that match."""
    for learner, world, row in rows_of(Filtered, "kept", kind="plain", prompt="name"):
        # images and captions vary together
        world = world.replace(sigma_inv=1.6, sigma_spu=1.2, sigma_xi=0.6)
        rng = np.random.default_rng(0)
        n = 100_000
        frames = (np.eye(world.dim_image, 2), np.eye(world.text_width, 2))
        own, others = (matched_pairs(world, (n,), rng, frames) for _ in range(2))
        stray = rng.random(n) < world.mismatch
        images = own.images[:, :2]
        texts = np.where(stray[:, None], others.texts, own.texts)[:, :2]
        score = ((images @ latent_cross_covariance(world)) * texts).sum(axis=1)
        kept = score >= np.quantile(score, 1 - learner.kept)
        S = np.cov(images[kept].T, texts[kept].T)[:2, 2:]
        u = learner.direction(world)
        assert S[1, 0] / S[0, 0] == pytest.approx(u[1] / u[0], abs=0.03), row


RARE = {
    "kind": ["plain", "attribute", "K = 3", "table"],
    "rare": ["p_inv", "mention_inv", "mention_spu", "bare", "mismatch"],
    "end": [1e-7, 1 - 1e-7],
    "other": [{}, {"mention_inv": 0.5}, {"bare": 0.3}, {"mismatch": 0.4}],
}


def test_the_rarest_kind_is_seen_whatever_it_is():
    for row in covering(RARE, 2):
        if (row["rare"], row["end"]) != ("mismatch", RARE["end"][1]):  # a world has at most .999
            world = world_of({**row["other"], row["rare"]: row["end"], "kind": row["kind"]})
            assert rarest(world) == pytest.approx(1e-7, rel=0.9), row


@pytest.mark.parametrize("name", SCALARS)
def test_every_field_changes_what_is_drawn(name):
    """A field without effect would pass all laws."""
    world = distinct(2, dim_image=16, dim_text=16)
    base = world[0]
    value = getattr(world[1], name)
    other = base.replace(
        **{name: base.classes + 1 if name == "classes" else value + 2 * (name[:3] == "dim")}
    )
    one = base.draw(200, seed=1)
    two = other.draw(200, seed=1)
    assert not torch.equal(one.images, two.images) or not torch.equal(one.texts, two.texts)


def test_every_field_meets_every_other():
    """A field of a world that is in no array would pass all laws."""
    fixed = {
        "p_spu",
        "mu_inv",
        "mu_spu",
        "sigma_inv",
        "sigma_spu",
        "sigma_xi",
        "dim_image",
        "dim_text",
        "classes",
    }
    assert {*World.model_fields} - fixed - {"attribute", "table", "common", "views"} == {
        *FIELDS
    } - {"kind"}
