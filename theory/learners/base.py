"""What a learner is: trained on a world's law, asked about its test law.

A learner of one's own is one frozen dataclass with a `name`. A linear rule needs `direction` alone; any other rule
gives `accuracy`, and `scores` if drawn images are to put it to the test.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import ClassVar, TypeVar

import numpy as np
from jaxtyping import Float

from simulator.accuracy import Accuracy, Interval
from simulator.world import World, Worlds
from theory.accuracy import linear_accuracy, two_block_scores

UNDEFINED = (ValueError, ArithmeticError)  # how a closed form says that a world has no answer


Asker = TypeVar("Asker", bound="Learner")
Answer = TypeVar("Answer", Accuracy, np.ndarray)


def each_class_count(method: Callable[[Asker, Worlds], Answer]) -> Callable[[Asker, World | Worlds], Answer]:
    """Ask once for every number of classes in a grid, since formulas hold for one K at a time; put answers back."""

    @wraps(method)
    def ask(self: Asker, worlds: World | Worlds) -> Answer:
        grid = Worlds.of(worlds)
        if np.ndim(grid.classes) == 0:
            return method(self, grid)
        K = np.broadcast_to(grid.classes, grid.shape)
        parts = [(k == K, method(self, grid[k == K])) for k in np.unique(K)]
        return _put_back(parts, grid.shape)

    return ask


def _put_back(parts, shape: tuple[int, ...]):
    """Answers over a grid from those of its parts, of their kind."""
    return joined(parts, shape) if isinstance(parts[0][1], Accuracy) else _together(parts, shape)


def joined(parts: list[tuple[np.ndarray, Accuracy]], shape: tuple[int, ...]) -> Accuracy:
    """Accuracies over a grid from those of its parts."""
    common = _together([(rows, np.asarray(accuracy.common)) for rows, accuracy in parts], shape)
    counter = _together([(rows, np.asarray(accuracy.counter)) for rows, accuracy in parts], shape)
    return Accuracy(common, counter, _intervals(parts, [common, counter], shape))


def _together(parts: Sequence[tuple[np.ndarray, np.ndarray]], shape: tuple[int, ...]) -> np.ndarray:
    whole = np.empty((*shape, *parts[0][1].shape[1:]))
    for rows, values in parts:
        whole[rows] = values
    return whole


def _intervals(
    parts: list[tuple[np.ndarray, Accuracy]], exact: list[np.ndarray], shape: tuple[int, ...]
) -> Interval | None:
    """Intervals of a grid of which some worlds are exact: theirs have no width."""
    level = next((a.interval.level for _, a in parts if a.interval is not None), None)
    if level is None:
        return None
    ends = []
    for g in (0, 1):
        pair = exact[g].copy(), exact[g].copy()
        for rows, accuracy in parts:
            if accuracy.interval is not None:
                pair[0][rows], pair[1][rows] = (accuracy.interval.common, accuracy.interval.counter)[g]
        ends.append(pair)
    return Interval(ends[0], ends[1], level)


@dataclass(frozen=True)
class Learner:
    """Base of all learners; see `theory.learners` for those that come with the project.

    Attributes
    ----------
    name
        As on the command line.
    words
        In a sentence.
    """

    name: ClassVar[str]  # as on the command line
    words: ClassVar[str]  # in a sentence

    @each_class_count
    def accuracy(self, worlds: Worlds) -> Accuracy:
        """Group accuracies at n = infinity under the test law.

        Parameters
        ----------
        worlds
            One world, or a grid of any shape.

        Returns
        -------
        Accuracy
            Arrays of the grid's shape; with an interval where the numbers are estimates.

        Raises
        ------
        ValueError, ArithmeticError
            Where a world has no answer (`refuses` gives the sentence).
        """
        return linear_accuracy(self.direction(worlds), worlds)

    def direction(self, worlds: World | Worlds) -> Float[np.ndarray, "*w B"]:
        """Weight of a linear rule on each block, up to a positive factor.

        Raises
        ------
        ValueError
            For a rule that is not linear.
        """
        raise ValueError(f"learner {self.name!r} is no linear rule, so it has no direction")

    def weights(self, x):
        """The direction of a world with one background and p_inv = 1, as arithmetic of its fields.

        Parameters
        ----------
        x : something with World's fields, `nu_image` too: numbers, arrays, or formulas that are to be proved

        Returns
        -------
        (u_inv, u_spu), the weights on object and background up to a positive factor

        Raises
        ------
        ValueError
            where the direction is no such formula; claims on it are judged and not proved.
        """
        raise ValueError(f"the direction of learner {self.name!r} is no formula in +, -, *, / and roots of the fields")

    def deviations(self, x):
        """Both accuracies through Phi's inverse in a world as of `weights`, as arithmetic of its fields.

        Parameters
        ----------
        x : as of `weights`

        Returns
        -------
        (z_common, z_counter), in standard deviations: the accuracies are Phi(z)

        Raises
        ------
        ValueError
            where the accuracies are no such formulas.
        """
        u, w = self.weights(x)
        S = x.sigma_inv**2 + x.nu_image, x.sigma_spu**2 + x.nu_image
        common, counter, s = two_block_scores(u, w, x.mu_inv, x.mu_spu, *S)
        return common / s, counter / s

    def scores(self, world: World | Worlds, images: Float[np.ndarray, "N l"]) -> Float[np.ndarray, "N K"]:
        """Score of every class; the largest decides, equal ones share the decision.

        Parameters
        ----------
        world : one world
        images
            Latent images D_I' x_I.
        """
        worlds = Worlds.of(world)
        u = self.direction(worlds)
        x = images.reshape(len(images), len(u), -1)
        pull = np.einsum("b,nbk->nk", u, x)
        return np.concatenate([pull, -pull], axis=1) if worlds.classes == 2 else pull

    def refuses(self, worlds: World | Worlds) -> str | None:
        """Why some of the worlds have no answer, in a sentence; None if all have one.

        >>> from theory.learners import InfoNCE
        >>> InfoNCE().refuses(World(sigma_xi=1.0)) is None, InfoNCE().refuses(World(sigma_xi=0.0)) is None
        (True, False)
        """
        try:
            self.accuracy(worlds)
        except UNDEFINED as error:
            return str(error)
        return None

    @property
    def label(self) -> str:
        """The learner and how it is asked, for people: "linear, name prompt"."""
        prompt = getattr(self, "prompt", None)
        return self.name + (f", {prompt} prompt" if prompt else "")


def attempt(
    ask: Callable[[Worlds], np.ndarray], worlds: Worlds
) -> tuple[Float[np.ndarray, "..."], dict[tuple[int, ...], str]]:
    """Answers of a grid where there are some, and the reasons where there are none."""
    row, reasons = worlds.ravel(), {}

    def answers(start: int, stop: int) -> list:
        try:
            return list(np.asarray(ask(row[start:stop]), float))
        except UNDEFINED as error:
            if stop - start == 1:
                reasons[tuple(int(i) for i in np.unravel_index(start, worlds.shape))] = str(error)
                return [None]
        middle = (start + stop) // 2
        return answers(start, middle) + answers(middle, stop)

    found = answers(0, row.size) if row.size else []
    shape = next((x.shape for x in found if x is not None), ())
    whole = np.array([np.full(shape, np.nan) if x is None else x for x in found])
    return whole.reshape((*worlds.shape, *shape)), reasons
