"""Measurement of a claim's quantity at one point of its domain, with a sample size that is fixed beforehand.

A plan says which worlds are measured there, how each learner is measured, and on how many pairs. Learners and points
that are compared use the same random streams, so that their common noise cancels.

A pilot on a separate stream shows the spread of the values. The number of values follows from the bound that they
must reach. The pilot never enters the verdict.

Every plan has a budget of memory, MEMORY for one training, and of time: the largest samples and matrices below.
Beyond them a point is Unmeasurable, and the reason says what would be needed.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float

from experiments.court.decision import FEWEST, size_needed, violation_bounds
from experiments.court.standing import StandingSample, Term, even_sample, means_of
from experiments.finite_samples import (
    EVEN,
    IMAGES,
    OF_RULES,
    Route,
    Unmeasurable,
    drawn_covariances,
    even_accuracies,
    fitted_critics,
    hits,
    image_accuracy,
)
from experiments.inference import FRACTION, Bounds, Sample
from experiments.verdict import cannot_be_judged
from simulator.accuracy import Accuracy, Numbers
from simulator.gaussian.critic import LinearCritic, group_accuracy
from simulator.gaussian.statistics import projected_scatter
from simulator.progress import tell
from simulator.streams import numpy_stream
from simulator.world import World, view_noise
from theory.claims.claim import INFINITE, Claim
from theory.claims.relations import Point, single
from theory.learners.base import Learner

Values = Float[np.ndarray, " R"]

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
    by_image: bool  # whether a value is one image: all learners are rules on images, and their means are compared
    rare: bool  # whether a training may have too few pairs of the rarest kind
    here: World  # a grid of size 1: the world of the claim's prediction

    def pilot(self, fewer: int) -> "Plan":
        """The plan of a pilot: exact laws in place of drawn pairs, where they are known.

        Elsewhere, only one in `fewer` of the pairs that represent n = infinity is drawn.
        """
        fewer = 1 if self.claim.finite else fewer
        pairs = {
            learner: [n // fewer for n in every] if self.pilot_routes[learner] == "drawn pairs" else every
            for learner, every in self.pairs.items()
        }
        return replace(self, routes=self.pilot_routes, pairs=pairs)

    @property
    def sizes(self) -> "Sizes":
        """The numbers of values, by the cost of one."""
        if self.by_image:
            return Sizes(PILOT_IMAGES, PILOT_IMAGES, MOST_IMAGES)
        routes, fewest = set(self.routes.values()), max(FEWEST, self.claim.relation.fewest)
        drawn = sum(price(self.routes[learner], n) for learner, every in self.pairs.items() for n in every)
        pilot, most = PILOT_FITS, np.inf
        if "exact law" in routes:
            matrices = draws_matrices(self.claim)
            slow = matrices or max(world.classes for world in self.worlds) > 2
            pilot, most = (PILOT_SLOW, MOST_SLOW_LAWS) if slow else (PILOT_LAWS, MOST_LAWS)
            most = min(most, MOST_PRODUCTS / side(self.worlds) ** 3) if matrices else most
        if routes != {"exact law"}:
            pilot, most = PILOT_FITS, min(most, MOST_NUMBERS / max(drawn, 1000))
            if "even images" in routes:
                pilot, fewest = pilot if "drawn pairs" in routes else FEWEST_EVEN, max(fewest, FEWEST_EVEN)
        most = max(fewest, most)
        if self.rare or self.claim.share is not None:
            pilot = PILOT_ATOMS
        return Sizes(int(min(pilot, most)), fewest, int(most))


class Sizes(NamedTuple):
    """Numbers of values: of a pilot, and the fewest and the most of a measurement."""

    pilot: int
    fewest: int
    most: int


def price(route: Route, n: int) -> int:
    """Pairs or images that are drawn for one value of one learner in one world."""
    return {"exact law": 0, "drawn pairs": n, "drawn images": IMAGES, "even images": LARGEST_EVEN}[route]


def draws_matrices(claim: Claim) -> bool:
    """Whether exact laws draw whole covariance matrices."""
    return any(getattr(s, "modal", False) or getattr(s, "projected", False) for s in claim.learners)


def side(worlds: list[World]) -> int:
    """The longer side of the largest covariance of images and captions."""
    return max(max(world.dim_image, world.dim_text) for world in worlds)


def _check_matrices(d: int) -> None:
    """Raise Unmeasurable for covariances with sides d that are beyond the budget."""
    if d**3 * FEWEST > MOST_PRODUCTS or 8 * d**2 * PER_MATRIX * FIRST_MINIMISERS > MEMORY:
        most = int((MOST_PRODUCTS / FEWEST) ** (1 / 3))
        raise Unmeasurable(
            f"covariances of {d} x {d} numbers would have to be drawn and decomposed {FEWEST} times there; "
            f"the largest within the budget have {most} x {most}"
        )


def plan_at(claim: Claim, point: Point, drawn: bool = False) -> Plan:
    """How a claim is measured at a point; `drawn` prefers drawn pairs to an exact law, where so many can be drawn.

    Raises Unmeasurable if a learner has no route within the budget of memory and time, RequestError for a share of
    trainings of a rule that is not trained.
    """
    each = claim.relation.legs(claim, point)
    worlds = [leg.worlds[0] for leg in each]
    if not claim.finite:
        worlds = [narrowest(world) for world in worlds]
    if draws_matrices(claim):
        _check_matrices(side(worlds))
    drawn = drawn and all(drawable(grid, leg.n) for grid, leg in zip(worlds, each, strict=True))
    routes, pilot_routes, pairs = {}, {}, {}
    for learner in claim.learners:
        law: Route = "exact law" if all(map(learner.has_exact_law, worlds)) else "drawn pairs"
        pilot_routes[learner] = _image_route(claim, learner) or law
        trainable = learner.estimator is not None and pilot_routes[learner] not in OF_RULES
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
    by_image = set(routes.values()) == {"drawn images"} and bool(claim.quantity.groups and claim.relation.weights)
    return Plan(claim, dict(point), worlds, routes, pilot_routes, pairs, by_image, rare, each[0].worlds)


def _image_route(claim: Claim, learner: Learner) -> Route | None:
    """How a rule is measured on images; None for a learner that is trained. Raises Unmeasurable if neither is known."""
    trained = learner.estimator is not None or learner.has_exact_law()
    if not learner.on_images or (claim.finite and trained):
        return None
    if claim.quantity.of_accuracies:
        return "even images" if claim.quantity.placed else "drawn images"
    limit, instead = (" at n = infinity", "; a finite n has a measurement") if trained else ("", "")
    raise Unmeasurable(
        f"learner {learner.name!r} is not fitted to pairs{limit}, and answers on images show no "
        f"{claim.quantity}{instead}"
    )


def narrowest(world: World) -> World:
    """A world whose views are as narrow as its latents, with the same noise on every coordinate.

    Population rules and their accuracies use no other coordinate, so it replaces `world` at n = infinity.
    """
    l = world.latents
    if world.dim_image == world.dim_text == l:
        return world
    noise = {"sigma_xi": view_noise(world.nu_image, l), "sigma_xi_text": view_noise(world.nu_text, l)}
    return world.replace(dim_image=l, dim_text=l, **noise)


def rarest(worlds: World) -> Numbers:
    """Smallest positive probability of an agreement (with a table, of a cell), a kind of caption, or the opposite."""
    if worlds.table is None:
        shown = worlds.agreement
    else:
        cells = [np.full(worlds.shape, share) for row in worlds.table for share in row]
        shown = np.stack([np.broadcast_to(worlds.p_inv, worlds.shape), *cells], axis=-1)
    whole = np.stack([np.broadcast_to(each, worlds.shape) for each in (worlds.bare, worlds.mismatch)], axis=-1)
    kinds = (kind.chance for kind in worlds.caption_kinds.every)
    chances = np.concatenate([shown, 1 - shown, whole, 1 - whole, *kinds], axis=-1)
    return np.where(chances > 0, chances, 1.0).min(axis=-1)


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
    """What was measured at one point, the number that limits it there, and bounds(tail) of the violation."""

    point: dict[str, float]
    sample: Sample | StandingSample
    n: int
    route: str
    predicted: float
    bounds: Callable[[Numbers], Bounds]
    note: str | None


class Design(NamedTuple):
    """A measurement at one point that is fixed beforehand."""

    point: dict[str, float]
    gap: float  # within which a bound of the violation at `tail` lies, except with probability `miss`
    tail: float
    miss: float
    purpose: str  # the name of its random streams
    drawn: bool = False  # whether drawn pairs are preferred to an exact law


def gather(claim: Claim, design: Design, seed: int) -> Evidence:
    """Measure as often as the design demands. Raises Unmeasurable for a point beyond the budget."""
    point, gap, tail, miss, purpose, drawn = design
    plan = plan_at(claim, point, drawn)
    target, side = claim.share, -1
    if claim.share is None:
        target, side = (np.ravel(each)[0].item() for each in claim.relation.target(claim, plan.here))
    _, fewest, most = plan.sizes
    # Fits to fewer pairs scatter more. If the fewest values suffice for those, they suffice for fits to all pairs.
    for fewer in (PILOT_SHARE, 1):
        first = plan.pilot(fewer)
        pilot = measure(first, first.sizes.pilot, _derived(seed, f"pilot/{purpose}"))
        # Both sides can miss, and bounds of |q - b| split their tail.
        size_of = pilot.size_needed if isinstance(pilot, StandingSample) else partial(size_needed, pilot)
        needed = size_of(gap, tail if side else tail / 2, miss / 2)
        if needed <= fewest or first.pairs == plan.pairs:
            break
    size = int(min(max(needed, fewest), most))
    sample = measure(plan, size, _derived(seed, purpose))
    note = None
    if plan.rare and claim.support is None and claim.share is None:
        note = "the mean of an unbounded quantity over so few pairs has no bound"
    elif needed > size:
        wanted = "no number of values" if np.isinf(needed) else f"{needed:.3g} values"
        note = f"{wanted} would be enough for power .95 there, and at most {size} are measured"
    trained = [n for learner, pairs in plan.pairs.items() if plan.routes[learner] not in OF_RULES for n in pairs]
    routes = " and ".join(dict.fromkeys(plan.routes.values()))
    images = sample.size * EVEN**2 if "even images" in routes else sample.size
    n = max(trained, default=images)
    return Evidence(plan.point, sample, n, routes, target, partial(violation_bounds, side, sample.bounds, target), note)


def pilot_violations(claim: Claim, points: Point, replicates: int, seed: int, number: int) -> Float[np.ndarray, " P"]:
    """Estimates of v at points, for claims about finite n; nan where a point cannot be measured.

    All points of round `number` share their random draws.
    """
    worlds, samples = claim.relation.legs(claim, points)[0].worlds, {}
    means = np.full(worlds.size, np.nan)
    for i in range(worlds.size):
        tell(f"{claim.id}: pilot at point {i + 1} of {worlds.size}")
        with suppress(Unmeasurable):
            plan = plan_at(claim, single(points, i))
            samples[i] = measure(plan, min(replicates, plan.sizes.most), _derived(seed, f"search/{number}"))
    means[list(samples)] = means_of(list(samples.values()))
    return claim.violation(means, worlds) if claim.share is None else claim.share - means


def _derived(seed: int, purpose: str) -> int:
    """A separate root seed per purpose, so that measurements share no random numbers."""
    return int(numpy_stream(seed, f"judge/{purpose}").integers(2**62))


def measure(plan: Plan, size: int, seed: int) -> Sample | StandingSample:
    """Independent values of the number that the claim's relation limits, at one point (`combine`).

    The value of `against` is subtracted. A place on a curve is that of the mean accuracies. If every learner is a
    rule on images, a value belongs to one image, and each group has `size` images. Otherwise a value belongs to one
    training; rules are measured on IMAGES images. For a claim about a share of trainings a value is 1 if the relation
    holds in one training, else 0.
    """
    from simulator.gaussian.fitting import SeparabilityError  # start-up time

    claim, values = plan.claim, []
    if plan.by_image:
        return _image_sample(plan, size, seed)
    draws = [
        [Drawn(world, s, plan.pairs[s][leg], size, seed, claim.id, plan.routes[s]) for s in claim.learners]
        for leg, world in enumerate(plan.worlds)
    ]
    try:
        if claim.quantity.placed and claim.share is None:
            return _standing_sample(plan, draws, size)
        for subject, *subtracted in draws:
            value = claim.quantity.measured(claim, subject)
            for other in subtracted:
                value = value - claim.quantity.measured(claim, other)
            values.append(value)
    except (SeparabilityError, np.linalg.LinAlgError) as error:
        raise Unmeasurable(str(error)) from error
    sample, support = np.asarray(claim.relation.combine(claim, values)), claim.support
    if not np.isfinite(sample).all():
        raise Unmeasurable(f"{claim.quantity} of a drawn sample is not a number at this point")
    if claim.share is not None:
        holds = claim.violation(sample, plan.here) <= claim.allowed
        return Sample(holds.astype(float), support=(0.0, 1.0))
    if support is not None:
        inside = np.clip(sample, *support)  # an accuracy of many classes can round to 1 + 1e-16
        if (beyond := np.abs(sample - inside)).max() > 1e-9:
            value = sample.flat[beyond.argmax()]
            raise Unmeasurable(f"{claim.quantity} came to {value:g} at this point, outside its support {support}")
        sample = inside
    return Sample(sample, normal=not plan.rare, support=support)


class Drawn(NamedTuple):
    """Draws for one learner in one world: `size` trainings, or sets of images for a rule that is not trained."""

    world: World
    learner: Learner
    n: int
    size: int
    seed: int
    stream: str
    route: Route

    def accuracies(self) -> Accuracy:
        """(size,) accuracies, one per training (for a rule, one per set of images)."""
        world, learner, _, size, seed, stream, route = self
        if route == "drawn images":
            rates = [[*image_accuracy(learner, world, seed, f"{stream}/{r}")] for r in range(size)]
            return Accuracy.of(np.transpose(rates))
        if route == "even images":
            blocks = [range(start, min(start + FEWEST_EVEN, size)) for start in range(0, size, FEWEST_EVEN)]
            each = [even_accuracies(learner, world, seed, f"{stream}/images", block) for block in blocks]
            return Accuracy.of(np.concatenate(each).T)
        mixture, each = world.mixture(), []
        for i, critic in enumerate(self.critics()):
            points = numpy_stream(seed, f"{stream}/test points", i)
            each.append(group_accuracy(critic, mixture, world.nu_image, points))
        return Accuracy.of(np.concatenate(each).T)

    def critics(self) -> Iterator[LinearCritic]:
        """The trained rules in blocks. Raises SeparabilityError or LinAlgError for a sample that cannot be fitted."""
        world, learner, n, size, seed, stream, route = self
        if route == "exact law":
            return learner.exact_law(world, n, size, seed, stream)
        return fitted_critics(world, learner, n, size, seed, stream)

    def covariances(self) -> Iterator[np.ndarray]:
        """The covariances of latent images and captions, in blocks."""
        world, _, n, size, seed, stream, route = self
        l = world.latents
        if route == "exact law":
            return (scatter[:, :l, l:] for scatter in projected_scatter(world, n, size, seed, stream))
        # The dictionaries of these pairs are the first coordinates.
        return (drawn[:, :l, :l] for drawn in drawn_covariances(world, n, size, seed, stream))


def _standing_sample(plan: Plan, every: list[list[Drawn]], size: int) -> StandingSample:
    """Samples of both accuracies of every learner in every world."""
    claim, terms = plan.claim, []
    for weight, of_world in zip(claim.relation.weights, every, strict=True):
        for place, draws in enumerate(of_world):
            accuracy = draws.accuracies()
            if draws.route == "even images":
                groups = [even_sample(rates) for rates in accuracy]
            else:
                groups = [Sample(np.clip(rates, 0, 1), normal=not plan.rare, support=FRACTION) for rates in accuracy]
            terms.append(Term((-1) ** place * weight, draws.world, (groups[0], groups[1])))
    return StandingSample(claim, terms, size)


def _image_sample(plan: Plan, size: int, seed: int) -> Sample:
    """One value per image, or per pair of images where the quantity needs both groups; all on the same draws."""
    claim, worlds = plan.claim, [narrowest(world) for world in plan.worlds]
    groups = claim.quantity.groups
    counts = Counter[float]()
    streams = [hits(rule, w, g, size, seed, claim.id) for w, rule, g in product(worlds, claim.learners, groups)]
    for blocks in zip(*streams, strict=True):
        right = np.reshape(blocks, (len(worlds), len(claim.learners), len(groups), -1))  # (leg, learner, group, image)
        last = right[:, :, -1]
        each = claim.quantity.of(Accuracy(right[:, :, 0], last, unseen=last))  # (leg, learner, image)
        values = each[:, 0] - each[:, 1] if len(claim.learners) == 2 else each[:, 0]
        compared = claim.relation.combine(claim, list(values))
        for value, count in zip(*np.unique(compared, return_counts=True), strict=True):
            counts[float(value)] += int(count)
    return Sample(np.array(list(counts)), support=claim.support, counts=np.array(list(counts.values())))
