"""The arms of a claim at a point: each learner in each world that the relation compares, and how it
is measured there.

Learners and points that are compared use the same random streams, so that their common noise
cancels.

Every arm has a budget of memory and of time (`experiments.court.budget`). Beyond it a point is
Unmeasurable, and the reason says what would be needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np

from experiments.court import budget
from experiments.court.budget import Effort
from experiments.finite_samples import (
    OF_RULES,
    Route,
    Unmeasurable,
    drawn_covariances,
    even_accuracies,
    fitted_critics,
    hits,
    image_accuracy,
)
from experiments.verdict import cannot_be_judged
from simulator.accuracy import Accuracy, Numbers
from simulator.gaussian.critic import LinearCritic, group_accuracy
from simulator.gaussian.statistics import projected_scatter
from simulator.streams import numpy_stream
from simulator.world import World, narrowest
from theory.claims.claim import INFINITE, Claim
from theory.claims.relations import Point
from theory.learners.base import Learner


class Arm(NamedTuple):
    """One learner in one world: its route and its pairs per training; to draw, also a number of
    values and a stream.
    """

    world: World
    learner: Learner
    n: int
    route: Route
    size: int = 0
    seed: int = 0
    stream: str = ""

    def accuracies(self) -> Accuracy:
        """(size,) accuracies, one per training (for a rule, one per set of images)."""
        world, learner, _, route, size, seed, stream = self
        if route == "drawn images":
            each = [[[*image_accuracy(learner, world, seed, f"{stream}/{r}")]] for r in range(size)]
        elif route == "even images":
            step = budget.EVEN_SETS.fewest
            blocks = [range(start, min(start + step, size)) for start in range(0, size, step)]
            each = [
                even_accuracies(learner, world, seed, f"{stream}/images", block) for block in blocks
            ]
        else:
            mixture = world.mixture()
            points = partial(numpy_stream, seed, f"{stream}/test points")
            critics = enumerate(self.critics())
            each = [
                group_accuracy(critic, mixture, world.nu_image, points(i)) for i, critic in critics
            ]
        return Accuracy.of(np.concatenate(each).T)

    def critics(self) -> Iterator[LinearCritic]:
        """The trained rules in blocks. Raises SeparabilityError or LinAlgError for a sample that
        cannot be fitted.
        """
        world, learner, n, route, size, seed, stream = self
        if route == "exact law":
            return learner.exact_law(world, n, size, seed, stream)
        return fitted_critics(world, learner, n, size, seed, stream)

    def covariances(self) -> Iterator[np.ndarray]:
        """The covariances of latent images and captions, in blocks."""
        world, _, n, route, size, seed, stream = self
        l = world.latents
        if route == "exact law":
            return (
                scatter[:, :l, l:] for scatter in projected_scatter(world, n, size, seed, stream)
            )
        # The dictionaries of these pairs are the first coordinates.
        return (drawn[:, :l, :l] for drawn in drawn_covariances(world, n, size, seed, stream))


@dataclass(frozen=True)
class Arms:
    """The arms of a claim at one point, world by world, and what their routes imply."""

    claim: Claim
    point: dict[str, float]
    here: World  # a grid of size 1: the world of the claim's prediction
    legs: list[list[Arm]]
    rare: bool  # whether a training may have too few pairs of the rarest kind

    @property
    def every(self) -> list[Arm]:
        return [arm for leg in self.legs for arm in leg]

    @property
    def by_image(self) -> bool:
        """Whether a value is one image: all learners are rules on images, and their means are
        compared.
        """
        claim = self.claim
        of_images = all(arm.route == "drawn images" for arm in self.every)
        return of_images and bool(claim.quantity.groups and claim.relation.weights)

    @property
    def on_curves(self) -> bool:
        """Whether the quantity is a place on a curve, which is a function of mean accuracies."""
        return self.claim.quantity.placed and self.claim.share is None

    @property
    def effort(self) -> Effort:
        """The numbers of values, by the price of one."""
        if self.by_image:
            return budget.BY_IMAGE
        routes = {arm.route for arm in self.every}
        worlds = [leg[0].world for leg in self.legs]
        matrices = draws_matrices(self.claim)
        laws = (
            budget.SLOW_LAWS
            if matrices or max(world.classes for world in worlds) > 2
            else budget.LAWS
        )
        rows = [
            budget.EVEN_SETS if route == "even images" else budget.FITS
            for route in routes - {"exact law"}
        ]
        limits = [laws.most] if "exact law" in routes else []
        if "exact law" in routes and matrices:
            limits.append(budget.PRODUCTS / side(worlds) ** 3)
        if rows:
            limits.append(
                budget.NUMBERS
                / max(1000, sum(budget.price(arm.route, arm.n) for arm in self.every))
            )
        fewest = max(self.claim.relation.fewest, *(row.fewest for row in rows or [laws]))
        return Effort(fewest, int(max(fewest, min(limits))))

    def draws(self, size: int, seed: int) -> np.ndarray:
        """(sample, value) on one stream.

        Places on curves have a sample of accuracies for each arm and group. Else there is one: of
        the number that the claim's relation limits, with the value of `against` subtracted. Its
        values belong to images, or to trainings; rules beside fits are measured on IMAGES images.
        Raises Unmeasurable for a sample that cannot be fitted.
        """
        from simulator.gaussian.fitting import SeparabilityError  # start-up time

        claim = self.claim
        if self.by_image:
            return np.concatenate([*self._by_image(size, seed)])[None]
        legs = [
            [arm._replace(size=size, seed=seed, stream=claim.id) for arm in leg]
            for leg in self.legs
        ]
        try:
            if self.on_curves:
                return np.array(
                    [rates for leg in legs for arm in leg for rates in [*arm.accuracies()][:2]]
                )
            values = ([claim.quantity.measured(claim, arm) for arm in leg] for leg in legs)
            return np.asarray(claim.relation.compare(claim, values))[None]
        except (SeparabilityError, np.linalg.LinAlgError) as error:
            raise Unmeasurable(str(error)) from error

    def _by_image(self, size: int, seed: int) -> Iterator[np.ndarray]:
        """One value per image, or per pair of images where the quantity needs both groups; all on
        the same draws.
        """
        claim, groups = self.claim, self.claim.quantity.groups
        rules = [(arm.learner, narrowest(arm.world)) for arm in self.every]
        streams = [
            hits(rule, world, g, size, seed, claim.id)
            for (rule, world), g in product(rules, groups)
        ]
        for blocks in zip(*streams, strict=True):
            right = np.reshape(blocks, (len(self.legs), -1, len(groups), len(blocks[0])))
            last = right[:, :, -1]  # (leg, learner, image)
            values = claim.quantity.of(Accuracy(right[:, :, 0], last, unseen=last))
            yield np.asarray(claim.relation.compare(claim, values))


def arms_at(claim: Claim, point: Point, drawn: bool = False) -> Arms:
    """The arms at a point; `drawn` prefers drawn pairs to an exact law, where so many can be drawn.

    Raises Unmeasurable if a learner has no route within the budget of memory and time, RequestError
    for a share of trainings of a rule that is not trained.
    """
    grids = claim.relation.legs(claim, point)
    worlds = [grid.worlds[0] if claim.finite else narrowest(grid.worlds[0]) for grid in grids]
    if draws_matrices(claim):
        _check_matrices(side(worlds))
    sizes = [grid.n for grid in grids]
    drawn = drawn and all(map(drawable, worlds, sizes))
    routes = [(learner, _route(claim, learner, worlds, drawn)) for learner in claim.learners]
    rules = " and ".join(learner.name for learner, route in routes if route in OF_RULES)
    if claim.share is not None and rules:
        raise cannot_be_judged(
            claim, f"a share of trainings needs learners that are fitted to pairs; {rules} is not"
        )
    legs: list[list[Arm]] = []
    for world, n in zip(worlds, sizes, strict=True):
        pairs = [drawn_pairs(world, n) if route == "drawn pairs" else n for _, route in routes]
        legs.append(
            [
                Arm(world, learner, m, route)
                for (learner, route), m in zip(routes, pairs, strict=True)
            ]
        )
    trained = (arm for leg in legs for arm in leg if arm.route not in OF_RULES)
    rare = any(arm.n * float(rarest(arm.world)) < budget.RARE for arm in trained)
    return Arms(claim, dict(point), grids[0].worlds, legs, rare)


def _route(claim: Claim, learner: Learner, worlds: list[World], drawn: bool) -> Route:
    """How a learner is measured in all of these worlds. Raises Unmeasurable for a rule without a
    measurement.
    """
    trained = bool(learner.routes() & {"exact", "drawn"})
    if "images" not in learner.routes() or (claim.finite and trained):
        exact = all("exact" in learner.routes(world) for world in worlds)
        return (
            "exact law" if exact and not (drawn and "drawn" in learner.routes()) else "drawn pairs"
        )
    if claim.quantity.of_accuracies:
        return "even images" if claim.quantity.placed else "drawn images"
    limit, instead = (" at n = infinity", "; a finite n has a measurement") if trained else ("", "")
    raise Unmeasurable(
        f"learner {learner.name!r} is not fitted to pairs{limit}, and answers on images show no "
        f"{claim.quantity}{instead}"
    )


def draws_matrices(claim: Claim) -> bool:
    """Whether exact laws draw whole covariance matrices."""
    return any(getattr(s, "modal", False) or getattr(s, "projected", False) for s in claim.learners)


def side(worlds: list[World]) -> int:
    """The longer side of the largest covariance of images and captions."""
    return max(max(world.dim_image, world.dim_text) for world in worlds)


def _check_matrices(d: int) -> None:
    """Raise Unmeasurable for covariances with sides d that are beyond the budget."""
    fewest = budget.SLOW_LAWS.fewest
    if (
        d**3 * fewest > budget.PRODUCTS
        or 8 * d**2 * budget.PER_MATRIX * budget.FIRST_MATRICES > budget.MEMORY
    ):
        most = int((budget.PRODUCTS / fewest) ** (1 / 3))
        raise Unmeasurable(
            f"covariances of {d} x {d} numbers would have to be drawn and decomposed {fewest} times"
            f" there; the largest within the budget have {most} x {most}"
        )


def rarest(worlds: World) -> Numbers:
    """Smallest positive probability of an agreement (with a table, of a cell), a kind of caption,
    or the opposite.
    """
    if worlds.table is None:
        chance = worlds.agreement
    else:
        cells = [np.full(worlds.shape, share) for row in worlds.table for share in row]
        chance = np.stack([np.broadcast_to(worlds.p_inv, worlds.shape), *cells], axis=-1)
    whole = np.stack(
        [np.broadcast_to(each, worlds.shape) for each in (worlds.bare, worlds.mismatch)], axis=-1
    )
    kinds = (kind.chance for kind in worlds.caption_kinds.every)
    chances = np.concatenate([chance, 1 - chance, whole, 1 - whole, *kinds], axis=-1)
    return np.where(chances > 0, chances, 1.0).min(axis=-1)


def _training(worlds: World, n: int) -> tuple[Numbers, Numbers, Numbers]:
    """(number of drawn pairs, its cost in narrow pairs, bytes) of one training that represents n
    pairs.
    """
    if n < INFINITE:
        pairs = np.full(worlds.shape, n)
        columns = 1.0 * np.asarray(worlds.dim_image) + worlds.dim_text
        cost = pairs * np.maximum(1.0, columns / 8)
    else:
        # enough to see the rarest kind RARE times, in views as narrow as the latents (`narrowest`)
        cost = pairs = np.maximum(budget.DRAWN, np.ceil(budget.RARE / rarest(worlds)))
        columns = 2.0 * np.asarray(worlds.latents)
    classes = np.where(np.asarray(worlds.classes) > 2, worlds.classes, 0)
    return pairs, cost, 8.0 * pairs * (budget.COPIES * columns + budget.PER_CLASS * classes)


def drawable(worlds: World, n: int) -> np.ndarray | np.bool_:
    """Where the pairs that represent n can be drawn."""
    _, cost, size = _training(worlds, n)
    return (cost <= budget.MOST_DRAWN) & (size <= budget.MEMORY)


def drawn_pairs(world: World, n: int) -> int:
    """Drawn pairs of one training. Raises Unmeasurable if they are too many."""
    pairs, _, size = (each.item() for each in _training(world, n))
    if not drawable(world, n):
        limit = (
            f"{budget.MEMORY / 2**30:.0f} GB"
            if size > budget.MEMORY
            else f"{budget.MOST_DRAWN:.0e}"
        )
        raise Unmeasurable(
            f"{pairs:.1e} pairs would have to be drawn there (the rarest kind has probability "
            f"{float(rarest(world)):.1g}), which take {size / 2**30:.2g} GB; the limit is {limit}"
        )
    return int(pairs)
