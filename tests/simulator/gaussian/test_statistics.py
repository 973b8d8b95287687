"""Exact laws of training statistics against pairs drawn in plain numpy, also at n = 2, where they
are not normal.
"""

import numpy as np
import pytest
from gaussian_worlds import WORLDS
from reference import critic_of, first_coordinates, sample_covariance, structural_pairs
from stattest import assert_same_law, law_size

from simulator.gaussian import statistics
from simulator.gaussian.critic import LinearCritic, group_accuracy
from simulator.gaussian.statistics import (
    cross_covariance,
    decision_prompts,
    full_critics,
    labelled_moments,
    projected_critics,
    projected_scatter,
)
from simulator.streams import numpy_stream
from simulator.world import World
from theory.learners import LinearCLIP

EFFECT = 0.13  # Kolmogorov distance
SIZE = law_size(EFFECT, false_alarm=5e-8)  # up to eighty columns share one use of the budget
# Each draw of S is slow under the type checker, so many more columns are compared more coarsely.
FULL_EFFECT = 0.2
FULL_SIZE = law_size(FULL_EFFECT, false_alarm=5e-8)


def joined(critics) -> LinearCritic:
    critics = list(critics)
    return LinearCritic(
        *(np.concatenate([getattr(c, part) for c in critics]) for part in ("inside", "outside"))
    )


def drawn_covariances(world: World, n: int, size: int, frames, name: str, limit: int = 2**21):
    """(size, dI, dT) sample cross-covariances of drawn pairs, in pieces that fit in memory."""
    rng = numpy_stream(0, f"test/{name}")
    step = max(1, limit // (n * world.dim_image))
    result = []
    for start in range(0, size, step):
        shape = (min(step, size - start), n)
        result.append(sample_covariance(structural_pairs(world, shape, rng, frames)))
    return np.concatenate(result)


def features(critic: LinearCritic, world: World) -> np.ndarray:
    """Features that determine accuracies, and products of them that reveal a wrong joint law; (R,
    columns).
    """
    R = len(critic.inside)
    inside = critic.inside.reshape(R, -1)
    columns = [inside, inside[:, :1] * inside[:, 1:2], (inside**2).sum(axis=1, keepdims=True)]
    if world.dim_image > world.latents and world.sigma_xi > 0:
        rows, cols = np.triu_indices(critic.outside.shape[1])
        norm = critic.outside[:, 0, 0][:, None]
        columns += [critic.outside[:, rows, cols], norm / (inside**2).sum(axis=1, keepdims=True)]
    if world.classes == 2:
        columns.append(group_accuracy(critic, world.mixture(), world.nu_image))
    return np.concatenate(columns, axis=1)


PROJECTED = {  # fewer pairs than coordinates, and more
    "paper": (2, 20),
    "masks": (2, 100),
    "fitting": (3,),
    "no view noise": (5,),
    "classes": (3, 20),
    "attribute": (20,),
    "object": (3,),
    "objects": (12,),
    "mismatch": (40,),
    "table": (3,),
    "table of classes": (12,),
    "detail": (20,),
    "bare": (12,),
}


@pytest.mark.parametrize(
    ("name", "n"), [(name, n) for name, sizes in PROJECTED.items() for n in sizes]
)
def test_projected_law_is_that_of_drawn_pairs(name, n):
    world = WORLDS[name]
    frames = first_coordinates(world)
    S = drawn_covariances(world, n, SIZE, frames, f"projected/{name}/{n}")
    for prompt in ("name", "mean"):
        exact = joined(projected_critics(world, prompt, n, SIZE, 0))
        q = decision_prompts(world, prompt)
        drawn = critic_of(S, q, frames)
        assert_same_law(
            features(exact, world),
            features(drawn, world),
            effect=EFFECT,
            what=f"{name}, {n}, {prompt}",
        )
    # of the same draws
    scatter = np.concatenate([*projected_scatter(world, n, SIZE, 0, "projected")])
    own = scatter[:, : world.latents, world.latents :] @ q.T
    np.testing.assert_allclose(own.swapaxes(1, 2), exact.inside, rtol=1e-12, atol=1e-12)


def matrix_features(S: np.ndarray, world: World) -> np.ndarray:
    """Rows, columns, singular values and bilinear forms of S, (R, columns)."""
    l = world.latents
    signal = S[:, :l, :l].reshape(len(S), -1)
    rows = (S**2).sum(axis=2)
    columns = (S**2).sum(axis=1)
    singular = np.linalg.svd(S, compute_uv=False)[:, :3]
    share = rows[:, :1] / rows.sum(axis=1, keepdims=True)
    return np.concatenate([signal, S[:, -1, -1:], rows, columns, singular, share], axis=1)


FULL = {
    "table": 14,
    "masks": 20,
    "no view noise": 20,
    "classes": 30,
    "object": 20,
    "mismatch": 20,
    "noise": 14,
}
FULL = [*({"detail": 20} | FULL).items(), *(("paper", n) for n in (3, 5, 8, 100))]
# r = 2l rows hold the latents; m = n - 1 - 2l more hold noise: of "paper" m < 0, m = 0, m < dI, m
# >= dI in turn.


@pytest.mark.parametrize("projected", [True, (0.3, 1.0)])
@pytest.mark.parametrize("name", ["masks", "classes"])
def test_projecting_off_a_caption_tends_to_its_population(name, projected):
    """At 1e10 pairs weights deviate by 1e-5; each replicate's critic is that of its own factors."""
    world = WORLDS[name].model_copy(update={"dim_image": 6, "dim_text": 8})
    u = LinearCLIP("name", projected=projected).direction(world)
    for critic in full_critics(world, "name", 10**10, 3, 0, projected=projected):
        found = critic.inside[0]
        if world.classes == 3:  # in each block, the difference of two classes' coordinates
            found = np.diff((found - found.mean(axis=0)).reshape(3, 2, 3)[0, :, :2]).T
        assert found[0, 1] / found[0, 0] == pytest.approx(u[1] / u[0], abs=1e-3)


@pytest.mark.parametrize(("name", "n"), FULL)
def test_full_law_is_that_of_drawn_pairs(name, n):
    world = WORLDS[name]
    drawn = drawn_covariances(world, n, FULL_SIZE, first_coordinates(world), f"full/{name}/{n}")
    exact = cross_covariance(world, n, FULL_SIZE, numpy_stream(0, "test/exact"))
    columns = (matrix_features(S, world) for S in (exact, drawn))
    assert_same_law(*columns, effect=FULL_EFFECT, what=f"S, {name}, {n}")


def test_rounding_does_not_choose_the_draw(monkeypatch):
    # Only a change of rounding shows this fault.
    # Two of three latents are always mentioned: the scatter of (z_I, z_T) has rank four, since
    # their copies add none.
    scatter, world = statistics._scatter_rows, WORLDS["attribute"]
    S = cross_covariance(world, 300, 1, numpy_stream(0, "rounding"))

    def rounded(*arguments):
        rows = scatter(*arguments)
        return rows * (1 + 1e-15 * np.random.default_rng(0).standard_normal(rows.shape))

    monkeypatch.setattr(statistics, "_scatter_rows", rounded)
    assert np.allclose(
        cross_covariance(world, 300, 1, numpy_stream(0, "rounding")), S, rtol=0, atol=1e-11
    )


@pytest.mark.parametrize(
    ("name", "n"), [("fitting", 2), ("fitting", 30), ("two", 5), ("other", 5), ("table", 8)]
)
def test_labelled_moments_are_those_of_drawn_images(name, n):
    others = {"two": World(p_spu=0.7, mention_spu=0.5, dim_image=2, dim_text=2)}
    # label and object differ
    others["other"] = others["two"].model_copy(update={"p_inv": 0.6, "sigma_xi_text": 3.0})
    others["table"] = World(table=WORLDS["table"].table, sigma_xi=2.0, dim_image=4, dim_text=4)
    world = {**WORLDS, **others}[name]
    draws = structural_pairs(
        world, (SIZE, n), numpy_stream(0, f"test/labelled/{name}"), first_coordinates(world)
    )
    images = np.pad(
        draws.images, [(0, 0), (0, 0), (0, world.table is not None)], constant_values=1.0
    )
    second = images.transpose(0, 2, 1) @ images / n
    first = ((1 - 2 * draws.labels)[..., None] * images).mean(axis=1)
    exact = [
        np.concatenate(parts) for parts in zip(*labelled_moments(world, n, SIZE, 0), strict=True)
    ]

    def columns(second, first):
        weights = np.linalg.solve(second, first[..., None])[..., 0]
        return np.concatenate([second.reshape(SIZE, -1), first, weights], axis=1)

    assert_same_law(
        columns(*exact), columns(second, first), effect=EFFECT, what=f"labelled, {name}, {n}"
    )
