"""Measurement of a claim's quantity at one point of its domain, with a sample size that is fixed beforehand.

A plan says which worlds are measured there, how each learner is measured, and on how many pairs. Learners and points
that are compared use the same random streams, so that their common noise cancels.

A pilot on a separate stream shows the spread of the values. The number of values follows from the bound that they
must reach. The pilot never enters the verdict.

Every plan has a budget of memory, MEMORY for one training, and of time: the largest samples and matrices below.
Beyond them a point is Unmeasurable, and the reason says what would be needed.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import final

import numpy as np
from jaxtyping import Float

from experiments.court.decision import FEWEST, TWO_SIDED, size_needed, violation_bounds
from experiments.court.domain import INFINITE, Point, cannot_be_judged, combine, finite, legs, row, single, violation_at
from experiments.court.standing import StandingSample, Term, even_sample, means_of, values_at
from experiments.finite_samples import (
    EVEN,
    OF_RULES,
    Route,
    Unmeasurable,
    drawn_covariances,
    even_accuracies,
    hits,
    image_accuracy,
    learned_critics,
)
from experiments.inference import FRACTION, Bounds, Sample
from simulator.accuracy import Accuracy, Numbers, in_words
from simulator.gaussian.critic import LinearCritic, group_accuracy, reliance
from simulator.gaussian.statistics import cross_covariance, projected_scatter, replicate_blocks
from simulator.streams import numpy_stream
from simulator.world import World
from theory.claims.claim import STANDINGS, Claim, kept_axis, operator_error, threshold_at
from theory.learners.base import Learner
from theory.population import block_covariance, latent_cross_covariance

Values = Float[np.ndarray, " R"]

# Means over images, and the groups of images that they need, by their places in GROUPS.
MEANS = {"common": (0,), "counter": (1,), "error-counter": (1,), "unseen": (2,), "balanced": (0, 1), "drop": (0, 1)}
DRAWN = 50_000  # drawn pairs that represent n = infinity; the bias of an accuracy is about 1/n
MOST_DRAWN = 2_000_000
RARE = 500  # with so many pairs of the rarest kind, a mean over the sample is nearly normal
PILOT_IMAGES = 20_000
MOST_IMAGES = 4_000_000
# Trainings per pilot. An exact law takes a thousandth of a fit's time. Excluding atoms needs many values.
PILOT_FITS, PILOT_SLOW, PILOT_LAWS, PILOT_ATOMS = 8, 16, 64, 512
PILOT_SHARE = 10  # pairs of a fit that represents n = infinity, per pair of its first pilot
FEWEST_EVEN = 32  # sets of even images, also of a pilot; with fewer, t bounds depend on the skewness
FIRST_MINIMISERS = 4  # that are drawn at once, as few as in a pilot
SLOPES = 32  # fewest values of a log-log slope: logarithms of small numbers have heavy tails
MOST_LAWS, MOST_SLOW_LAWS = 200_000, 4000
MOST_NUMBERS = 4e7  # drawn pairs at one point, over all fits
MOST_PRODUCTS = 2e10  # multiply-adds per side cubed, over all matrices drawn at one point: half a minute
MEMORY = 2**30  # bytes of one training
COPIES = 4  # of drawn views: in blocks of a stream, joined, and in an estimator
PER_CLASS = 6  # numbers per pair and class in softmax regression
PER_MATRIX = 8  # matrices of views in memory at once, per drawn covariance
LARGEST_EVEN = 8 * EVEN**2  # even images of up to 8 groups take about the time of so many drawn pairs


@dataclass(frozen=True)
class Plan:
    """How a claim is measured at one point: the worlds that its relation compares, and the route of each learner."""

    claim: Claim
    point: dict[str, float]
    worlds: list[World]
    routes: dict[Learner, Route]
    pilot_routes: dict[Learner, Route]
    pairs: dict[Learner, list[int]]  # per training, world by world
    rare: bool  # whether a training may have too few pairs of the rarest kind
    here: World  # a grid of size 1: the world of the claim's prediction

    def pilot(self, fewer: int) -> "Plan":
        """The plan of a pilot: exact laws in place of drawn pairs, where they are known.

        Elsewhere, only one in `fewer` of the pairs that represent n = infinity is drawn.
        """
        fewer = 1 if finite(self.claim) else fewer
        pairs = {
            learner: [n // fewer for n in every] if self.pilot_routes[learner] == "drawn pairs" else every
            for learner, every in self.pairs.items()
        }
        return replace(self, routes=self.pilot_routes, pairs=pairs)

    @property
    def by_image(self) -> bool:
        """Whether a value is one image: all learners are rules on images, and the quantity is a mean over images."""
        means = self.claim.quantity in MEANS and self.claim.relation != "slope"
        return means and set(self.routes.values()) == {"drawn images"}

    @property
    def lawful(self) -> bool:
        """Whether every value comes from an exact law."""
        return set(self.routes.values()) == {"exact law"}

    @property
    def slow(self) -> bool:
        """Whether an exact law takes milliseconds."""
        return draws_matrices(self.claim) or max(world.classes for world in self.worlds) > 2

    @property
    def most(self) -> int:
        """The largest sample, by the cost of a value."""
        if self.by_image:
            return MOST_IMAGES
        if self.lawful:
            matrices = MOST_PRODUCTS / side(self.worlds) ** 3 if draws_matrices(self.claim) else np.inf
            return int(min(MOST_SLOW_LAWS if self.slow else MOST_LAWS, matrices))
        each = [LARGEST_EVEN if route == "even images" else sum(self.pairs[s]) for s, route in self.routes.items()]
        return int(max(FEWEST, MOST_NUMBERS / max(sum(each), 1000)))

    @property
    def pilot_size(self) -> int:
        """Number of values of a pilot."""
        if self.by_image:
            return PILOT_IMAGES
        if self.rare or self.claim.share is not None:
            return min(PILOT_ATOMS, self.most)
        if "even images" in self.routes.values() and "drawn pairs" not in self.routes.values():
            return FEWEST_EVEN
        return min(PILOT_FITS if not self.lawful else PILOT_SLOW if self.slow else PILOT_LAWS, self.most)


def draws_matrices(claim: Claim) -> bool:
    """Whether exact laws draw whole covariance matrices."""
    whole = any(getattr(s, "modal", False) or getattr(s, "projected", False) for s in claim.learners)
    return whole or claim.quantity == "minimiser-rate"


def side(worlds: list[World]) -> int:
    """The longer side of the largest covariance of images and captions."""
    return max(max(world.dim_image, world.dim_text) for world in worlds)


def of_accuracies(claim: Claim) -> bool:
    """Whether the quantity is a function of group accuracies, and not of the trained matrix or vector itself."""
    return claim.quantity in (*MEANS, "worst", *STANDINGS)


def plan_at(claim: Claim, point: Point, drawn: bool = False) -> Plan:
    """How a claim is measured at a point; `drawn` prefers drawn pairs to an exact law, where so many can be drawn.

    Raises Unmeasurable if a learner has no route within the budget of memory and time, RequestError for a share of
    trainings of a rule that is not trained.
    """
    each = legs(claim, row(point))
    worlds = [leg.worlds[0] for leg in each]
    if not finite(claim):
        worlds = [narrowest(world) for world in worlds]
    if draws_matrices(claim):
        d = side(worlds)
        if d**3 * FEWEST > MOST_PRODUCTS or 8 * d**2 * PER_MATRIX * FIRST_MINIMISERS > MEMORY:
            most = int((MOST_PRODUCTS / FEWEST) ** (1 / 3))
            raise Unmeasurable(
                f"covariances of {d} x {d} numbers would have to be drawn and decomposed {FEWEST} times there; "
                f"the largest within the budget have {most} x {most}"
            )
    drawn = drawn and all(drawable(grid, leg.n) for grid, leg in zip(worlds, each, strict=True))
    routes, pilot_routes, pairs = {}, {}, {}
    for learner in claim.learners:
        lawful = all(learner.has_exact_law(world) for world in worlds)
        images: Route = "even images" if claim.quantity in STANDINGS else "drawn images"
        by_images, estimator = learner.on_images and of_accuracies(claim), learner.estimator
        if learner.on_images and not by_images and not (estimator and finite(claim)):
            limit, instead = (" at n = infinity", "; a finite n has a measurement") if estimator else ("", "")
            raise Unmeasurable(
                f"learner {learner.name!r} is not fitted to pairs{limit}, and answers on images show no "
                f"{claim.quantity}{instead}"
            )
        pilot_routes[learner] = images if by_images else "exact law" if lawful else "drawn pairs"
        trainable = estimator is not None and not by_images
        routes[learner] = "drawn pairs" if drawn and trainable else pilot_routes[learner]
        pairs[learner] = [leg.n for leg in each]
        if routes[learner] == "drawn pairs":
            pairs[learner] = [drawn_pairs(grid, leg.n) for grid, leg in zip(worlds, each, strict=True)]
    rules = " and ".join(s.name for s, route in routes.items() if route in OF_RULES)
    if claim.share is not None and rules:
        why = f"a share of trainings needs learners that are fitted to pairs; {rules} is not"
        raise cannot_be_judged(claim, why)
    rare = any(
        n * float(rarest(grid)) < RARE
        for learner, every in pairs.items()
        if routes[learner] not in OF_RULES
        for grid, n in zip(worlds, every, strict=True)
    )
    return Plan(claim, dict(point), worlds, routes, pilot_routes, pairs, rare, each[0].worlds)


def narrowest(world: World) -> World:
    """A world whose views are as narrow as its latents, with the same noise on every coordinate.

    Population rules and their accuracies use no other coordinate, so it replaces `world` at n = infinity.
    """
    l = world.latents
    noise = {"sigma_xi": float(np.sqrt(world.nu_image * l)), "sigma_xi_text": float(np.sqrt(world.nu_text * l))}
    return world.model_copy(update={"dim_image": l, "dim_text": l, **noise})


def rarest(worlds: World) -> Numbers:
    """Smallest positive probability of an agreement (with a table, of a cell), a mention, or their opposites."""
    if worlds.table is None:
        shown = worlds.agreement
    else:
        cells = [np.full(worlds.shape, share) for row in worlds.table for share in row]
        shown = np.stack([np.broadcast_to(worlds.p_inv, worlds.shape), *cells], axis=-1)
    p = np.concatenate([shown, worlds.mention], axis=-1)
    chances = np.stack([p, 1 - p])
    return np.where(chances > 0, chances, 1.0).min(axis=(0, -1))


def _wanted(worlds: World, n: int) -> Numbers:
    """Number of drawn pairs that represent n: n, or enough to see the rarest kind RARE times if n is infinite."""
    return np.full(worlds.shape, n) if n < INFINITE else np.maximum(DRAWN, np.ceil(RARE / rarest(worlds)))


def drawable(worlds: World, n: int) -> np.ndarray | np.bool_:
    """Where the pairs that represent n can be drawn; for finite n wide views cost more."""
    width = np.maximum(1.0, _columns(worlds, n) / 8) if n < INFINITE else 1.0
    return (_wanted(worlds, n) * width <= MOST_DRAWN) & (_bytes(worlds, n) <= MEMORY)


def _columns(worlds: World, n: int) -> Numbers:
    """Numbers of a drawn pair; where n is infinite, views are as narrow as the latents (`narrowest`)."""
    return 1.0 * np.asarray(worlds.dim_image) + worlds.dim_text if n < INFINITE else 2.0 * np.asarray(worlds.latents)


def _bytes(worlds: World, n: int) -> Numbers:
    """Memory of one training on the pairs that represent n."""
    classes = np.where(np.asarray(worlds.classes) > 2, worlds.classes, 0)
    return 8.0 * _wanted(worlds, n) * (COPIES * _columns(worlds, n) + PER_CLASS * classes)


def drawn_pairs(worlds: World, n: int) -> int:
    """Drawn pairs of one training in one world. Raises Unmeasurable if they are too many."""
    if not drawable(worlds, n):
        wanted, size = float(_wanted(worlds, n)), float(_bytes(worlds, n))
        limit = f"{MEMORY / 2**30:.0f} GB" if size > MEMORY else f"{MOST_DRAWN:.0e}"
        raise Unmeasurable(
            f"{wanted:.1e} pairs would have to be drawn there (the rarest kind has probability "
            f"{float(rarest(worlds)):.1g}), which take {size / 2**30:.2g} GB; the limit is {limit}"
        )
    return int(_wanted(worlds, n))


@final  # a subclass could define __bool__; `shown and shown.route` needs a true value
@dataclass(frozen=True)
class Evidence:
    """What was measured at one point. `promised` says for "iff" whether the condition holds there."""

    point: dict[str, float]
    sample: Sample | StandingSample
    n: int
    route: str
    predicted: float
    promised: bool
    note: str | None
    relation: str

    def bounds(self, tail: Numbers) -> Bounds:
        """Bounds of the violation; infinite if the law of the sample has no bounds."""
        if not self.sample.bounded:
            return Bounds(-np.inf, np.inf)
        return violation_bounds(self.relation, self.sample.bounds, self.predicted, tail, self.promised)


def gather(plan: Plan, *, gap: float, tail: float, miss: float, seed: int, purpose: str) -> Evidence:
    """Measure at one point, often enough that a bound at `tail` lies within `gap` with probability 1 - `miss`."""
    claim = plan.claim
    relation = claim.relation if claim.share is None else ">="  # a share of trainings is bounded below
    fewest = PILOT_IMAGES if plan.by_image else SLOPES if claim.relation == "slope" else FEWEST
    fewest = max(fewest, FEWEST_EVEN) if "even images" in plan.routes.values() else fewest
    # Fits to fewer pairs scatter more. If the fewest values suffice for them, these suffice.
    for fewer in (PILOT_SHARE, 1):
        first = plan.pilot(fewer)
        pilot = measure(first, first.pilot_size, _derived(seed, f"pilot/{purpose}"))
        # Both sides can miss, and bounds of |q - b| split their tail.
        size_of = pilot.size_needed if isinstance(pilot, StandingSample) else partial(size_needed, pilot)
        needed = size_of(gap, tail / 2 if relation in TWO_SIDED else tail, miss / 2)
        if needed <= fewest or first.pairs == plan.pairs:
            break
    size = int(min(max(needed, fewest), plan.most))
    sample = measure(plan, size, _derived(seed, purpose))
    note = None
    if not sample.bounded:
        note = "the mean of an unbounded quantity over so few pairs has no bound"
    elif needed > size:
        wanted = "no number of values" if np.isinf(needed) else f"{needed:.3g} values"
        note = f"{wanted} would be enough for power .95 there, and at most {size} are measured"
    trained = [n for learner, pairs in plan.pairs.items() if plan.routes[learner] not in OF_RULES for n in pairs]
    routes = " and ".join(dict.fromkeys(plan.routes.values()))
    images = sample.size * EVEN**2 if "even images" in routes else sample.size
    n = max(trained, default=images)
    return Evidence(plan.point, sample, n, routes, *_target(claim, plan.here), note, relation)


def _target(claim: Claim, here: World) -> tuple[float, bool]:
    """The number that the quantity is compared with, and for "iff" whether the condition holds there."""
    if claim.share is not None:
        return claim.share, True
    prediction = float(np.ravel(claim.prediction(here))[0])
    if claim.relation == "iff":
        return float(np.ravel(threshold_at(claim, here))[0]), prediction > 0
    return -prediction if claim.relation in ("increasing", "decreasing") else prediction, True


def pilot_violations(
    claim: Claim, points: dict[str, np.ndarray], replicates: int, seed: int, number: int
) -> Float[np.ndarray, " P"]:
    """Estimates of v at points, for claims about finite n; nan where a point cannot be measured.

    All points of round `number` share their random draws.
    """
    worlds, samples = legs(claim, points)[0].worlds, {}
    means = np.full(worlds.size, np.nan)
    for i in range(worlds.size):
        with suppress(Unmeasurable):
            plan = plan_at(claim, single(points, i))
            samples[i] = measure(plan, min(replicates, plan.most), _derived(seed, f"search/{number}"))
    means[list(samples)] = means_of(list(samples.values()))
    return violation_at(claim, means, worlds)


def _derived(seed: int, purpose: str) -> int:
    """A separate root seed per purpose, so that measurements share no random numbers."""
    return int(numpy_stream(seed, f"judge/{purpose}").integers(2**62))


def measure(plan: Plan, size: int, seed: int) -> Sample | StandingSample:
    """Independent values of the number that the claim's relation limits, at one point (`combine`).

    The value of `against` is subtracted. A quantity in STANDINGS is that of the mean accuracies. If every learner is a
    rule on images, a value belongs to one image, and each group has `size` images. Otherwise a value belongs to one
    training; rules are measured on IMAGES images. For a claim about a share of trainings a value is 1 if the relation
    holds in one training, else 0.
    """
    claim = plan.claim
    if claim.quantity in STANDINGS and claim.share is None:
        return _standing_sample(plan, size, seed)
    if plan.by_image:
        return _image_sample(plan, size, seed)
    values = []
    for i in range(len(plan.worlds)):
        first, *subtracted = (_quantity(plan, s, i, size, seed) for s in claim.learners)
        values.append(first - subtracted[0] if subtracted else first)
    sample, support = np.asarray(combine(claim, values)), support_of(claim)
    if not np.isfinite(sample).all():
        raise Unmeasurable(f"{claim.quantity} of a drawn sample is not a number at this point")
    if claim.share is not None:
        holds = claim.violation(sample, plan.here) <= claim.allowed
        return Sample(holds.astype(float), support=(0.0, 1.0))
    if support is not None:
        sample = np.clip(sample, *support)  # an accuracy of many classes can round to 1 + 1e-16
    return Sample(sample, normal=not plan.rare, support=support)


def support_of(claim: Claim) -> tuple[float, float] | None:
    """The smallest and the largest possible value, None if there is none."""
    if claim.relation == "slope" or claim.quantity not in (*MEANS, "worst", *STANDINGS, "kept-axis"):
        return None
    low, high = (-1.0, 1.0) if claim.quantity in ("drop", "effective-robustness") else (0.0, 1.0)
    for pair in (len(claim.learners) == 2, claim.relation in ("increasing", "decreasing")):
        low, high = (low - high, high - low) if pair else (low, high)
    return low, high


def _quantity(plan: Plan, learner: Learner, leg: int, size: int, seed: int) -> Values:
    """(size,) values of the quantity of one learner, one per training (for a rule, one per set of images)."""
    claim, world, n, route = plan.claim, plan.worlds[leg], plan.pairs[learner][leg], plan.routes[learner]
    if claim.quantity == "operator-error":
        return _operator_errors(claim, world, n, size, seed, route)
    if claim.quantity == "minimiser-rate":
        return _minimiser_errors(world, n, size, seed, claim.id)
    if claim.quantity in STANDINGS:
        return values_at(claim, world, _accuracies(plan, learner, leg, size, seed))
    if claim.quantity in (*MEANS, "worst"):
        return in_words(claim.quantity, _accuracies(plan, learner, leg, size, seed))
    critics = _fitted(world, learner, n, size, seed, claim.id, route)
    if claim.quantity == "kept-axis":
        return kept_axis(np.concatenate([c.inside[:, 0] for c in critics]), block_covariance(world))
    return np.concatenate([reliance(c, world) for c in critics])


def _accuracies(plan: Plan, learner: Learner, leg: int, size: int, seed: int) -> Accuracy:
    """(size,) accuracies of one learner, one pair per training (for a rule, one per set of images)."""
    world, route, stream = plan.worlds[leg], plan.routes[learner], plan.claim.id
    if route == "drawn images":
        rates = [[*image_accuracy(learner, world, seed, f"{stream}/{r}")] for r in range(size)]
        return Accuracy.of(np.transpose(rates))
    if route == "even images":
        blocks = [range(start, min(start + FEWEST_EVEN, size)) for start in range(0, size, FEWEST_EVEN)]
        each = [even_accuracies(learner, world, seed, f"{stream}/images", block) for block in blocks]
        return Accuracy.of(np.concatenate(each).T)
    mixture = world.mixture()
    each = [
        group_accuracy(critic, mixture, world.nu_image, numpy_stream(seed, f"{stream}/test points", i))
        for i, critic in enumerate(_fitted(world, learner, plan.pairs[learner][leg], size, seed, stream, route))
    ]
    return Accuracy.of(np.concatenate(each).T)


def _fitted(world, learner, n, size, seed, stream, route) -> Iterator[LinearCritic]:
    """`learned_critics`; a sample that cannot be fitted raises Unmeasurable."""
    from simulator.gaussian.fitting import SeparabilityError  # start-up time

    try:
        yield from learned_critics(world, learner, n, size, seed, stream, route)
    except (SeparabilityError, np.linalg.LinAlgError) as error:
        raise Unmeasurable(str(error)) from error


def _operator_errors(claim, world: World, n, size, seed, route: Route) -> Values:
    l, reference = world.latents, np.asarray(claim.reference(world))
    if route == "exact law":
        covariances = (V[:, :l, l:] for V in projected_scatter(world, n, size, seed, claim.id))
    else:
        covariances = drawn_covariances(world, n, size, seed, claim.id)
    return operator_error(np.concatenate(list(covariances)), reference)


def _minimiser_errors(world: World, n, size, seed, stream) -> Values:
    l, population = world.latents, np.zeros((world.dim_image, world.dim_text))
    population[:l, :l] = latent_cross_covariance(world)
    blocks = replicate_blocks(population.size, n, size, seed, stream, FIRST_MINIMISERS)
    errors = [
        np.linalg.norm(cross_covariance(world, n, count, rng)[:used] - population, ord=2, axis=(-2, -1))
        for rng, count, used in blocks
    ]
    return np.concatenate(errors)


def _standing_sample(plan: Plan, size: int, seed: int) -> StandingSample:
    """Samples of both accuracies of every learner in every world."""
    claim, terms = plan.claim, []
    for leg, world in enumerate(plan.worlds):
        for place, learner in enumerate(claim.learners):
            accuracy = _accuracies(plan, learner, leg, size, seed)
            if plan.routes[learner] == "even images":
                groups = [even_sample(rates) for rates in accuracy]
            else:
                groups = [Sample(np.clip(rates, 0, 1), normal=not plan.rare, support=FRACTION) for rates in accuracy]
            later = leg == 1  # of a monotone relation
            sign = (-1) ** (place + later + (claim.relation == "decreasing"))
            terms.append(Term(sign, world, (groups[0], groups[1])))
    return StandingSample(claim, terms, size)


def _image_sample(plan: Plan, size: int, seed: int) -> Sample:
    """One value per image, or per pair of images where the quantity needs both groups; all on the same draws."""
    claim, worlds = plan.claim, [narrowest(world) for world in plan.worlds]
    groups = MEANS[claim.quantity]
    counts = Counter[float]()
    streams = [hits(rule, w, g, size, seed, claim.id) for w, rule, g in product(worlds, claim.learners, groups)]
    for blocks in zip(*streams, strict=True):
        right = np.reshape(blocks, (len(worlds), len(claim.learners), len(groups), -1))  # (leg, learner, group, image)
        last = right[:, :, -1]
        each = in_words(claim.quantity, Accuracy(right[:, :, 0], last, unseen=last))  # (leg, learner, image)
        values = each[:, 0] - each[:, 1] if len(claim.learners) == 2 else each[:, 0]
        for value, count in zip(*np.unique(combine(claim, list(values)), return_counts=True), strict=True):
            counts[float(value)] += int(count)
    return Sample(np.array(list(counts)), support=support_of(claim), counts=np.array(list(counts.values())))
