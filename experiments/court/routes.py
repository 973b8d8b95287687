"""How a claim's quantity is measured at one point of its domain: the route of each learner, and the values.

Learners, and points, that are compared read the same streams: what they have in common cancels.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import product

import numpy as np
from jaxtyping import Float

from experiments.abilities import ability_of, has_law
from experiments.court.domain import INFINITE, Point, cannot_be_judged, combined, finite, legs, row
from experiments.inference import Sample
from experiments.trainings import Route, Unmeasurable, drawn_covariances, hits, image_accuracy, learned_critics
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
RARE = 500  # pairs of the rarest kind in a sample for means over it to be normal enough
MATRICES = ("operator-error", "minimiser-rate")


def routes_of(claim: Claim, point: Point, drawn: bool) -> dict[Learner, Route]:
    """How each learner of the claim is measured at a point."""
    worlds = worlds_at(claim, point)
    return {learner: _route(learner, worlds, drawn) for learner in claim.learners}


def _route(learner: Learner, worlds: list[tuple[World, int]], drawn: bool) -> Route:
    ability = ability_of(learner)
    if ability.images:
        return "drawn images"
    law = all(has_law(learner, world) for world, _ in worlds)
    drawn = drawn and ability.estimator is not None and all(drawable(Worlds.of(world), n) for world, n in worlds)
    return "exact law" if law and not drawn else "drawn pairs"


def worlds_at(claim: Claim, point: Point) -> list[tuple[World, int]]:
    """The worlds to be measured at a point, with their numbers of pairs; as narrow as may be for the population."""
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
    """Smallest probability of anything that a pair may or may not show: an agreement, a mention."""
    p = np.concatenate([worlds.agreement, worlds.mention], axis=-1)
    chances = np.stack([p, 1 - p])
    return np.where(chances > 0, chances, 1.0).min(axis=(0, -1))


def _wanted(worlds: Worlds, n: int) -> Numbers:
    """Drawn pairs that stand for n: themselves, or for n = infinity enough that nothing is seen too rarely."""
    return np.full(worlds.shape, n) if n < INFINITE else np.maximum(DRAWN, np.ceil(RARE / rarest(worlds)))


def drawable(worlds: Worlds, n: int) -> np.ndarray | np.bool_:
    """Where so many pairs can be drawn one by one; where n is finite wide views count for more."""
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
    """Independent values of what the claim's relation speaks of at a point, with what is known of their law.

    For "increasing" and "decreasing" a value is the fall from x to x' (the rise), for "slope" the log-log slope over
    the claim's grid; `against` is subtracted. Where every learner is a rule on images a value is one image, and there
    are `size` of each group; otherwise a value is one training run, and a rule is measured on IMAGES images beside it.
    For a claim about a share of trainings a value says whether the relation holds in one: 1 or 0.
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
    """Whether every image is a value of its own: rules on images, and a quantity that is a mean over them."""
    means = claim.quantity in WORDS and claim.quantity != "worst" and claim.relation != "slope"
    return means and set(routes.values()) == {"drawn images"}


def support_of(claim: Claim) -> tuple[float, float] | None:
    """The least and the largest value of what the relation speaks of, None if there is none."""
    if claim.relation == "slope" or claim.quantity not in (*WORDS, "kept-axis"):
        return None
    low, high = (-1.0, 1.0) if claim.quantity == "drop" else (0.0, 1.0)
    for pair in (claim.against is not None, claim.relation in ("increasing", "decreasing")):
        low, high = (low - high, high - low) if pair else (low, high)
    return low, high


def _quantity(claim, learner: Learner, world: World, n, size, seed, route: Route) -> Values:
    """(size,) values of the claim's quantity of one learner, one a training run (one a set of images for a rule)."""
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
    """`learned_critics`, with what a sample cannot be fitted to as a sentence."""
    from simulator.gaussian.supervised import SeparabilityError

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
    """One value an image (a pair of images, one a group, where the quantity looks at both), all on the same draws."""
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
