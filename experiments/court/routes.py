"""Measurement of a claim's quantity at one point of its domain: the route of each learner, and the values.

Learners and points that are compared use the same random streams, so that their common noise cancels.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import product

import numpy as np
from jaxtyping import Float

from experiments.court.domain import INFINITE, Point, cannot_be_judged, combined, finite, legs, row
from experiments.estimators import estimator_of, has_exact_law
from experiments.finite_samples import Route, Unmeasurable, drawn_covariances, hits, image_accuracy, learned_critics
from experiments.inference import Sample
from simulator.accuracy import WORDS, Accuracy, Numbers, in_words
from simulator.gaussian.critic import LinearCritic, group_accuracy, reliance
from simulator.gaussian.statistics import cross_covariance, projected_scatter
from simulator.streams import numpy_stream
from simulator.world import World, Worlds
from theory.claims.claim import SINGLE, Claim, kept_axis, operator_error
from theory.learners.base import Learner
from theory.population import block_covariance

Values = Float[np.ndarray, " R"]

DRAWN = 100_000  # pairs that stand for n = infinity where they are drawn one by one
MOST_DRAWN = 2_000_000
RARE = 500  # pairs of the rarest kind that make a mean over the sample normal enough
MATRICES = ("operator-error", "minimiser-rate")


def routes_of(claim: Claim, point: Point, drawn: bool) -> dict[Learner, Route]:
    """How each learner of the claim is measured at a point."""
    worlds = worlds_at(claim, point)
    return {learner: _route(learner, worlds, drawn) for learner in claim.learners}


def _route(learner: Learner, worlds: list[tuple[World, int]], drawn: bool) -> Route:
    estimator = estimator_of(learner)
    if estimator.images:
        return "drawn images"
    law = all(has_exact_law(learner, world) for world, _ in worlds)
    drawn = drawn and estimator.fit is not None and all(drawable(Worlds.of(world), n) for world, n in worlds)
    return "exact law" if law and not drawn else "drawn pairs"


def worlds_at(claim: Claim, point: Point) -> list[tuple[World, int]]:
    """The worlds to be measured at a point, with their numbers of pairs; for the population the narrowest ones."""
    each = [(leg.worlds.world(0), leg.n) for leg in legs(claim, row(point))]
    return each if finite(claim) else [(narrowest(world), n) for world, n in each]


def named_route(routes: dict[Learner, Route]) -> str:
    """The routes in words."""
    return " and ".join(dict.fromkeys(routes.values()))


def narrowest(world: World) -> World:
    """A world whose views are as narrow as its latents, with the same noise on every coordinate.

    The population's rules and their accuracies see no other coordinate, so it stands for `world` at n = infinity.
    """
    l = world.latents
    return world.model_copy(
        update={
            "dim_image": l,
            "dim_text": l,
            "sigma_xi": float(np.sqrt(world.nu_image * l)),
            "sigma_xi_text": float(np.sqrt(world.nu_text * l)),
        }
    )


def rarest(worlds: Worlds) -> Numbers:
    """Smallest positive probability of an agreement, a mention, or their opposites."""
    p = np.concatenate([worlds.agreement, worlds.mention], axis=-1)
    chances = np.stack([p, 1 - p])
    return np.where(chances > 0, chances, 1.0).min(axis=(0, -1))


def _wanted(worlds: Worlds, n: int) -> Numbers:
    """Number of drawn pairs that represent n: n, or enough to see the rarest kind RARE times if n is infinite."""
    return np.full(worlds.shape, n) if n < INFINITE else np.maximum(DRAWN, np.ceil(RARE / rarest(worlds)))


def drawable(worlds: Worlds, n: int) -> np.ndarray | np.bool_:
    """Where so many pairs can be drawn; for finite n wide views cost more."""
    width = np.maximum(1.0, (np.asarray(worlds.dim_image) + worlds.dim_text) / 8) if n < INFINITE else 1.0
    return _wanted(worlds, n) * width <= MOST_DRAWN


def pairs_for(n: int, world: World, route: Route) -> int:
    """Pairs in one replicate."""
    if route != "drawn pairs":
        return n
    worlds = Worlds.of(world)
    if not drawable(worlds, n):
        raise Unmeasurable(
            f"{float(_wanted(worlds, n)):.1e} pairs would have to be drawn there (the rarest kind has probability "
            f"{float(rarest(worlds)):.1g}); at most {MOST_DRAWN:.0e} are"
        )
    return int(_wanted(worlds, n))


def measure(
    claim: Claim,
    point: Point,
    size: int,
    seed: int,
    routes: dict[Learner, Route],
    like: dict[Learner, Route] | None = None,
) -> Sample:
    """Independent values of the number that the claim's relation is about, at one point.

    For "increasing" and "decreasing" a value is the fall from x to x' (the rise), for "slope" the log-log slope over
    the claim's grid; `against` is subtracted. If every learner is a rule on images, a value is one image, and there are
    `size` of each group. Otherwise a value is one training, and a rule is measured on IMAGES images beside it. For a
    claim about a share of trainings a value is 1 if the relation holds in one training, else 0.
    """
    worlds = worlds_at(claim, point)
    if claim.share is not None and "drawn images" in routes.values():
        rules = " and ".join(s.name for s, route in routes.items() if route == "drawn images")
        raise cannot_be_judged(
            claim, f"a share of trainings needs learners that are fitted to pairs; {rules} is a rule of the law"
        )
    if by_image(claim, routes):
        return _image_sample(claim, [narrowest(world) for world, _ in worlds], size, seed)
    normal, values = True, []
    for world, n in worlds:
        total = np.zeros(size)
        for sign, (learner, route) in zip((1, -1), routes.items(), strict=False):
            pairs = pairs_for(n, world, (like or routes)[learner])
            normal = normal and (route == "drawn images" or pairs * float(rarest(Worlds.of(world))) >= RARE)
            total = total + sign * _quantity(claim, learner, world, pairs, size, seed, route)
        values.append(total)
    sample, support = np.asarray(combined(claim, values)), support_of(claim)
    if not np.isfinite(sample).all():
        raise Unmeasurable(f"{claim.quantity} of a drawn sample is not a number at this point")
    if claim.share is not None:
        holds = claim.violation(sample, legs(claim, row(point))[0].worlds) <= claim.allowed
        return Sample(holds.astype(float), support=(0.0, 1.0))
    if support is not None:
        sample = np.clip(sample, *support)  # an accuracy of many classes can round to 1 + 1e-16
    return Sample(sample, normal=normal, support=support)


def by_image(claim: Claim, routes: dict[Learner, Route]) -> bool:
    """Whether a value is one image: all learners are rules on images, and the quantity is a mean over images."""
    means = claim.quantity in WORDS and claim.quantity != "worst" and claim.relation != "slope"
    return means and set(routes.values()) == {"drawn images"}


def support_of(claim: Claim) -> tuple[float, float] | None:
    """The smallest and the largest possible value, None if there is none."""
    if claim.relation == "slope" or claim.quantity not in (*WORDS, "kept-axis"):
        return None
    low, high = (-1.0, 1.0) if claim.quantity == "drop" else (0.0, 1.0)
    for pair in (claim.against is not None, claim.relation in ("increasing", "decreasing")):
        low, high = (low - high, high - low) if pair else (low, high)
    return low, high


def _quantity(claim, learner: Learner, world: World, n, size, seed, route: Route) -> Values:
    """(size,) values of the quantity of one learner, one per training (for a rule, one per set of images)."""
    if claim.quantity in MATRICES:
        return _matrix_errors(claim, world, n, size, seed, route)
    if route == "drawn images":
        each = [image_accuracy(learner, world, seed, f"{claim.id}/{r}") for r in range(size)]
        return np.array([in_words(claim.quantity, accuracy) for accuracy in each])
    critics = list(_fitted(world, learner, n, size, seed, claim.id, route))
    inside = np.concatenate([c.inside for c in critics])
    if claim.quantity == "kept-axis":
        return kept_axis(inside[:, 0], block_covariance(Worlds.of(world)))
    if claim.quantity == "reliance":
        return np.concatenate([reliance(c, world.classes) for c in critics])
    mixture = world.mixture()
    accuracy = np.concatenate([group_accuracy(c, mixture, world.nu_image, seed + 1 + i) for i, c in enumerate(critics)])
    return in_words(claim.quantity, Accuracy(*accuracy.T))


def _fitted(world, learner, n, size, seed, stream, route) -> Iterator[LinearCritic]:
    """`learned_critics`; a sample that cannot be fitted raises Unmeasurable."""
    from simulator.gaussian.supervised import SeparabilityError  # start-up time

    try:
        yield from learned_critics(world, learner, n, size, seed, stream, route)
    except (SeparabilityError, np.linalg.LinAlgError) as error:
        raise Unmeasurable(str(error)) from error


def _matrix_errors(claim, world: World, n, size, seed, route: Route) -> Values:
    l = world.latents
    if claim.quantity == "operator-error":
        reference = np.asarray(claim.reference(Worlds.of(world)))
        if route == "exact law":
            V = np.concatenate(list(projected_scatter(world, n, size, seed, claim.id)))
            return operator_error(V[:, :l, l:], reference)
        return operator_error(np.concatenate(list(drawn_covariances(world, n, size, seed, claim.id))), reference)
    population = np.zeros((world.dim_image, world.dim_text))
    population[:l, :l] = block_covariance(Worlds.of(world)) * Worlds.of(world).mention
    rngs = (numpy_stream(seed, claim.id, r) for r in range(size))
    return np.array([np.linalg.norm(cross_covariance(world, n, rng) - population, ord=2) for rng in rngs])


def _image_sample(claim: Claim, worlds: list[World], size: int, seed: int) -> Sample:
    """One value per image, or per pair of images where the quantity needs both groups; all on the same draws."""
    groups = (int(claim.quantity != "common"),) if claim.quantity in SINGLE else (0, 1)
    learners, counts = claim.learners, Counter[float]()
    streams = [hits(rule, w, g, size, seed, claim.id) for w, rule, g in product(worlds, learners, groups)]
    for blocks in zip(*streams, strict=True):
        right = np.reshape(blocks, (len(worlds), len(learners), len(groups), -1))  # (leg, learner, group, image)
        each = in_words(claim.quantity, Accuracy(right[:, :, 0], right[:, :, -1]))  # (leg, learner, image)
        values = each[:, 0] - each[:, 1] if len(learners) == 2 else each[:, 0]
        for value, count in zip(*np.unique(combined(claim, list(values)), return_counts=True), strict=True):
            counts[float(value)] += int(count)
    return Sample(np.array(list(counts)), support=support_of(claim), counts=np.array(list(counts.values())))
