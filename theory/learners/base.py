"""The base class of learners, and functions that evaluate a learner over grids of worlds.

A learner of your own is one frozen dataclass with a `name` and one method that says its rule. The
rest follows.
    direction   a linear rule by its weight on each block, in any grid of worlds without a table
    critic      a linear rule by one score vector per class, in one world of any kind
    scores      any other rule on images, in one world of any kind; its accuracies are integrated or
                sampled
    accuracy    what cannot be asked about an image, such as a printed bound
A linear rule with a critic may have a direction, too: the fast path for grids.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from simulator.accuracy import Accuracy, Ends, Numbers, rounded, won
from simulator.gaussian.critic import LinearCritic, gaussian_points, group_accuracy
from simulator.mixture import COUNTER, class_means
from simulator.prompts import prompt_name
from simulator.quantities import check_count
from simulator.world import Attribute, World
from theory.accuracy import linear_accuracy
from theory.integrator import gap_accuracy
from theory.quadrature import REPLICATES, estimate

LARGEST_CLASSES = 50  # beyond it, sampled accuracies over B K normals are slow and rough
UNDEFINED = (ValueError, ArithmeticError)  # raised by a closed form that has no answer in a world
POWER = 14  # of 2, points of a group where scores are sampled; errors are about 3e-4
NUMBERS = 2**23  # in all images of a group, 64 MB
EXACT = 1e-6  # error of an integral

# into which worlds are divided that have no answer together: 1.15 calls per world where none has
# one
PARTS = 8


def check_classes(worlds: World, words: str, most: int = LARGEST_CLASSES) -> None:
    """Raise ValueError for worlds of more classes than the `most` for which `words`."""
    if (largest := np.max(worlds.classes, initial=2)) > most:
        raise ValueError(f"classes = {largest} is more than the {most} for which {words}")


def joined(parts: list[tuple[Any, Accuracy]], shape: tuple[int, ...]) -> Accuracy:
    """Accuracies over a grid from those of its parts, each with the index that it fills."""
    values, level, ends = joined_numbers(parts, shape)
    return Accuracy.of([*values], level, ends)


def joined_numbers(
    parts: list[tuple[Any, Any]], shape: tuple[int, ...]
) -> tuple[np.ndarray, float | None, list[Ends]]:
    """Numbers over a grid, the level of their intervals, and these: of width 0 where only other
    parts have one.
    """
    numbers = max((len([*part]) for _, part in parts), default=2)
    # value, low and high end
    whole = np.empty((*shape, numbers, 3))
    level = None
    for index, part in parts:
        level = level if part.interval is None else part.interval.level
        ends = part.interval or zip(part, part, strict=True)
        rows = np.array([(x, *pair) for x, pair in zip(part, ends, strict=True)])
        whole[index] = np.moveaxis(rows, (0, 1), (-2, -1))
    values, low, high = np.moveaxis(whole, (-1, -2), (0, 1))
    return values, level, [*zip(low, high, strict=True)]


def world_by_world(accuracy: Callable[[World], Accuracy], worlds: World) -> Accuracy:
    """Accuracies over a grid from a function of one world."""
    return joined([(w, accuracy(worlds[w])) for w in np.ndindex(worlds.shape)], worlds.shape)


def latent_critic(
    u: Float[np.ndarray, "*R K l"], constant: Float[np.ndarray, "*R K"] | float = 0.0
) -> LinearCritic:
    """The critics that score class y by u_y'z plus a constant."""
    K = u.shape[-2]
    own = np.broadcast_to(constant, u.shape[:-1])
    if K == 2:
        # equal classes have no difference
        scale = np.abs(u).max(axis=(-2, -1)) + np.abs(own).max(axis=-1)
        u = rounded(u[..., :1, :] - u[..., 1:, :], scale[..., None, None])
        own = rounded(own[..., :1] - own[..., 1:], scale[..., None])
    u = u.reshape(-1, *u.shape[-2:])
    return LinearCritic(u, np.zeros((len(u), u.shape[1], u.shape[1])), own.reshape(len(u), -1))


def block_critic(u: Float[np.ndarray, " B"], classes: int) -> LinearCritic:
    """The critic that scores each class by the coordinates of its own patterns, with weight u_b on
    block b.
    """
    # (1 or K, B, width)
    own = u[None, :, None] if classes == 2 else u[:, None] * class_means(classes)[:, None]
    return LinearCritic(
        own.reshape(1, len(own), -1), np.zeros((1, len(own), len(own))), np.zeros((1, len(own)))
    )


def block_weights(inside: Float[np.ndarray, "P l"]) -> Float[np.ndarray, " B"]:
    """The weights of `block_critic`, up to a factor; means over classes where a critic treats them
    differently.
    """
    if len(inside) == 1:
        return inside[0]
    inside = inside - inside.mean(axis=0)  # what all classes share decides nothing
    return np.trace(inside.reshape(len(inside), -1, len(inside)), axis1=0, axis2=2)


def sampled(
    right: Callable, world: World, power: int, seed: int = 0
) -> Float[np.ndarray, "R *r groups"]:
    """Means of right(images (N, l), labels (N,), r), (*r, N), over 2^power images of every group;
    nan without any.

    A coordinate of Sobol points draws what an image shows, the others its noise.
    """
    mixture = world.mixture()
    rows = []
    deviation = np.sqrt(mixture.image_variances)
    groups = max(COUNTER, mixture.test_groups.max()) + 1
    for r in range(seed * REPLICATES, (seed + 1) * REPLICATES):
        points = gaussian_points(1 + len(deviation), power, r)
        chance = ndtr(points[:, 0])
        noise = deviation * points[:, 1:]
        row = {}
        for group in np.unique(mixture.test_groups):
            share = np.cumsum(np.where(mixture.test_groups == group, mixture.test_weights, 0.0))
            cell = np.searchsorted(share, chance * share[-1])
            row[group] = np.mean(
                right(mixture.means[cell] + noise, mixture.labels[cell], r), axis=-1
            )
        rows.append(np.stack([row.get(g, np.nan * row[0]) for g in range(groups)], axis=-1))
    return np.array(rows)


def sampled_accuracy(rule: "Learner", world: World, power: int = POWER, seed: int = 0) -> Accuracy:
    """Accuracies of a rule's scores in one world, with an interval, from 2^power points of every
    group or NUMBERS.
    """

    def right(images: np.ndarray, labels: np.ndarray, _) -> np.ndarray:
        scores = rule.scores(world, images)
        # the mistake of a user's learner
        if (shape := (len(labels), world.classes)) != np.shape(scores):
            raise ValueError(
                f"the scores of learner {rule.name!r} have shape {np.shape(scores)}; expected"
                f" {shape}"
            )
        return won(scores, labels)

    return estimate(sampled(right, world, min(power, int(np.log2(NUMBERS / world.latents))), seed))


@dataclass(frozen=True)
class Learner:
    """Base of all learners; `theory.learners` lists those of the project.

    Attributes
    ----------
    name
        The name on the command line.
    words
        The name in a sentence.
    estimator
        The estimator of `simulator.fit` that trains the learner on n drawn pairs; None if there is
        none.
    on_images
        Whether the judge measures the population rule on drawn images. If not, it trains the
        learner on pairs.
    """

    name: ClassVar[str]
    words: ClassVar[str]
    estimator: ClassVar[str | None] = None
    on_images: ClassVar[bool] = True

    def __post_init__(self):
        # two words for one prompt make equal learners
        if isinstance(prompt := getattr(self, "prompt", None), str):
            object.__setattr__(self, "prompt", prompt_name(prompt))
        for name in ("embed_dim", "batch_size"):
            if (number := getattr(self, name, None)) is not None:
                check_count(name, number, 1)

    def accuracy(self, worlds: World) -> Accuracy:
        """Group accuracies at n = infinity under the test law, in the shape of one world or a grid.

        They have an interval where the numbers are estimates. Raises ValueError or ArithmeticError
        where a world has no answer.
        """
        if not self._by_direction(worlds):
            return world_by_world(
                self._score_accuracy if self.by_scores_alone else self._critic_accuracy, worlds
            )
        direction = self.direction(worlds)
        shape = worlds.mean.shape
        if np.shape(direction)[-1:] != shape[-1:]:
            words = (
                f"has shape {np.shape(direction)}; expected {shape}, the weights of object and"
                " backgrounds"
            )
            raise self._mistake("direction", words)
        if np.isnan(direction).any():
            raise self._mistake("direction", "is nan; expected numbers")
        return linear_accuracy(direction, worlds)

    def _mistake(self, method: str, words: str) -> ValueError:
        """What is wrong with a user's learner."""
        return ValueError(f"the {method} of learner {self.name!r} {words}")

    def _critic_accuracy(self, world: World) -> Accuracy:
        """Accuracies of the critic in one world, exact for two classes."""
        critic = self.critic(world)
        rows = 1 if world.classes == 2 else world.classes
        if not isinstance(critic, LinearCritic):
            words = (
                f"is of type {type(critic).__name__}; `latent_critic` makes a critic from an array"
                " (K, l)"
            )
            raise self._mistake("critic", words)
        if critic.inside.shape[1:] != (rows, world.latents):
            words = (
                f"has score vectors of shape {critic.inside.shape[1:]}; expected"
                f" {(rows, world.latents)}"
            )
            raise self._mistake("critic", f"{words}, in the order of the latents")
        if any(np.isnan(part).any() for part in critic):
            raise self._mistake("critic", "is nan; expected numbers")
        if world.classes == 2:
            return Accuracy.of([*group_accuracy(critic, world.mixture(), world.nu_image)[0]])
        copies = REPLICATES // len(critic.inside)  # each has points of its own
        critic = LinearCritic(*(np.repeat(np.atleast_2d(part), copies, axis=0) for part in critic))
        return estimate(group_accuracy(critic, world.mixture(), world.nu_image))

    def _score_accuracy(self, world: World) -> Accuracy:
        """Accuracies of the scores in one world: exact in a plane of latents unless a sample
        contradicts, else sampled.

        A sample notices what falls between the lines on which an integral compares signs.
        """
        sample = sampled_accuracy(self, world)
        if world.table is not None or not world.binary:
            return sample
        unit = np.sqrt(world.image_variance)

        def gap(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            plus, minus = self.scores(world, np.stack([x.ravel(), y.ravel()], axis=-1) * unit).T
            scale = np.maximum(
                *(np.where(np.isfinite(each), np.abs(each), 0.0) for each in (plus, minus))
            )
            with np.errstate(invalid="ignore"):  # an infinite score less itself
                return np.where(plus == minus, 0.0, rounded(plus - minus, scale)).reshape(x.shape)

        try:
            exact = gap_accuracy(gap, world)
        except ArithmeticError:
            return sample
        assert sample.interval is not None
        low, high = np.transpose([*sample.interval])
        slack = high - low + EXACT
        return (
            Accuracy.of([*exact])
            if np.all((low - slack <= exact) & (exact <= high + slack))
            else sample
        )

    def critic(self, world: World) -> LinearCritic:
        """A linear rule on latents, one score vector per class; several rules if they are
        replicates of an estimate.

        Raises ValueError for a rule that is not linear, and beside a table for one that tells its
        direction alone.
        """
        if world.table is not None and self._says("direction"):
            raise ValueError(
                f"learner {self.name!r} tells its direction alone, and worlds with a table have"
                " none; with a method critic or scores it has a law there"
            )
        return block_critic(self.direction(world), world.class_count)

    def direction(self, worlds: World) -> Float[np.ndarray, "*w B"]:
        """Weight of a linear rule on each block, up to a positive factor, in one world or a grid.

        Raises ValueError for a rule that is not linear, and in worlds with a table.
        """
        if not self._says("direction", "critic", "scores", "accuracy"):
            raise ValueError(
                f"learner {self.name!r} has no rule: no method direction, critic, scores or"
                " accuracy"
            )
        if not self._says("critic"):
            raise ValueError(f"learner {self.name!r} is not a linear rule, so it has no direction")
        if worlds.table is not None:
            raise ValueError(
                "worlds with a table have no block that all classes share, so a rule has no"
                " direction"
            )
        rows = [
            block_weights(self.critic(worlds[w]).inside.mean(axis=0))
            for w in np.ndindex(worlds.shape)
        ]
        return np.reshape(rows, worlds.mean.shape)

    def weights(self, x):
        """(u_inv, u_spu), the direction in a world with one background and p_inv = 1, as a formula
        of its fields.

        x has World's fields and `nu_image`, as numbers, arrays or recorded formulas. Raises
        ValueError if the direction is not such a formula: claims about it are then judged, but not
        proved.
        """
        raise ValueError(
            f"the direction of learner {self.name!r} is not a formula of fields in +, -, *, / and"
            " roots"
        )

    def deviations(self, x):
        """(z_common, z_counter), in standard deviations, as formulas of x as for `weights`:
        accuracies are Phi(z).
        """
        u, w = self.weights(x)
        s = np.sqrt(u * u * (x.sigma_inv**2 + x.nu_image) + w * w * (x.sigma_spu**2 + x.nu_image))
        gain = u * x.mu_inv
        pull = w * x.mu_spu
        return (gain + pull) / s, (gain - pull) / s

    def scores(self, world: World, images: Float[np.ndarray, "N l"]) -> Float[np.ndarray, "N K"]:
        """Score of every class. The largest decides; equal ones share the decision.

        Parameters
        ----------
        world : one world
        images : latent images D_I' x_I
        """
        known = self._by_direction(world)
        critic = (
            block_critic(self.direction(world), world.class_count) if known else self.critic(world)
        )
        gap = images @ critic.inside.mean(axis=0).T + np.mean(
            np.atleast_2d(critic.intercept), axis=0
        )
        return np.concatenate([gap, -gap], axis=1) if world.classes == 2 else gap

    def exact_law(
        self, world: World, n: int, replicates: int, seed: int, stream: str
    ) -> Iterator[LinearCritic]:
        """Linear rules trained on n pairs, sampled from their exact law, in blocks of replicates.

        Parameters
        ----------
        world, n, replicates : one world, number of pairs, and of independent trainings
        seed, stream : root and name of the random numbers

        Raises
        ------
        ValueError
            For a learner without an exact law, and for worlds in which the law is not known.
        """
        raise ValueError(f"the exact law of {self.name} given n pairs is not known")

    def routes(self, world: World | None = None) -> set[str]:
        """By which routes the learner can be measured in worlds of this shape; without a world, in
        some world.

        "exact" is the exact law given n pairs, "drawn" a fit to n drawn pairs, "images" its own
        rule on drawn images.
        """
        routes = {"drawn"} if self.estimator else set()
        routes |= {"images"} if self.on_images else set()
        if self._says("exact_law") and (world is None or _exact_law_applies(self, _plain(world))):
            routes.add("exact")
        return routes

    def _says(self, *methods: str) -> bool:
        """Whether the class has one of these methods of its own. The others follow from it."""
        return any(
            getattr(type(self), method) is not getattr(Learner, method) for method in methods
        )

    def _by_direction(self, worlds: World) -> bool:
        return worlds.table is None and self._says("direction")

    @property
    def by_scores_alone(self) -> bool:
        """Whether no method tells the accuracies, which are then integrated in a plane of latents,
        or sampled.
        """
        return self._says("scores") and not self._says("direction", "critic", "accuracy")

    def may_be_sampled(self, several: bool) -> bool:
        """Whether accuracies may have intervals in worlds without a table, of several classes or
        attributes or not.
        """
        return self.by_scores_alone or (several and not self._says("direction"))

    @property
    def is_linear(self) -> bool:
        """Whether the rule has a direction in worlds without a table."""
        return self._says("direction", "critic")

    @property
    def by_likelihood(self) -> bool:
        """Whether scores rank prompts as p(x | prompt) does, so that captions of other pairs change
        no decision.
        """
        return False

    def unseen(self, world: World, pairs: float) -> Any:
        """The shares of test images that a run cannot learn; None where no closed form is known.

        Parameters
        ----------
        world, pairs : one world, and the number of pairs in the run
        """
        return None

    @property
    def reads_captions(self) -> bool:
        """Whether the learner is trained on captions, which prompts then stand for, rather than on
        labels.
        """
        return hasattr(self, "prompt")


def _plain(world: World) -> World:
    """A world of the same shape with the usual numbers."""
    sizes = {name: getattr(world, name) for name in ("classes", "dim_image", "dim_text", "table")}
    mismatch = 0.5 * (world.mismatch > 0)
    bare = 0.5 * (world.bare > 0)
    return World(
        **sizes, attribute=(Attribute(),) * len(world.attribute), mismatch=mismatch, bare=bare
    )


@lru_cache(maxsize=256)
def _exact_law_applies(learner: Learner, world: World) -> bool:
    try:
        next(learner.exact_law(world, 1000, 1, 0, "probe"))
    except ValueError:
        return False
    return True


def attempt(
    function: Callable[[World], Numbers], worlds: World
) -> tuple[Float[np.ndarray, "..."], dict[tuple[int, ...], str]]:
    """Values of a function over a grid, nan where it is undefined, and the reasons there."""
    row = worlds if worlds.ndim == 1 else worlds.ravel()
    reasons = {}
    blocks: list[np.ndarray | None] = [None] * row.size
    parts = [(0, row)] if row.size else []
    while parts:
        start, part = parts.pop()
        try:
            blocks[start : start + part.size] = np.asarray(function(part), float)
        except UNDEFINED as error:
            step = -(-part.size // PARTS)
            if part.size > 1:
                parts += [(start + i, part[i : i + step]) for i in range(0, part.size, step)]
            else:
                reasons[tuple(int(i) for i in np.unravel_index(start, worlds.shape))] = str(error)
    shape = next((x.shape for x in blocks if x is not None), ())
    whole = np.array([np.full(shape, np.nan) if x is None else x for x in blocks])
    return whole.reshape((*worlds.shape, *shape)), reasons
