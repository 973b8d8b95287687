"""The mean of the InfoNCE optimum's scores over a class's captions, if some training captions belong to other pairs.

If each caption belongs with probability eps to a pair drawn at random, the law of pairs is (1 - eps) p(x, t) + eps p(x)
p(t). At the optimum of InfoNCE the critic is the logarithm of its density ratio (SigLIP subtracts a constant),
    s(x, t) = log((1 - eps) R + eps),   R = p(x, t)/(p(x) p(t)) = exp(PMI).
s is an increasing function of the PMI, the same for all prompts. So decisions by single prompts do not depend on eps,
nor do those by E_{t|y} e^s = (1 - eps) E_{t|y} R + eps, the log-mean-exp of scores. The mean of scores does: + wins iff
    (E_{t|+} - E_{t|-}) log(1 + R (1 - eps)/eps) > 0.
As eps grows to 1 the logarithm becomes linear, and the rule that of the log-mean-exp. Scores are bounded below by
log eps: only captions that may show the image count.

Two classes, one attribute. The captions t of a block are nodes. With a_y = p(x_b, t_b | y), h_y = p(t_b | y) for the
first block and b_y, k_y for the second one, R is a ratio of two products of matrices,
    R = E/H,   E = 2 (a_+ b_+' + a_- b_-')/(p(x | +) + p(x | -)),   H = h_+ k_+' + h_- k_-'.
The preference need not rise with the image, so its boundary is followed as a contour of any shape.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from simulator.accuracy import Accuracy
from simulator.world import Worlds
from theory.learners.base import joined
from theory.learners.caption_nodes import (
    EVIDENCE,
    SHOWN,
    WITHIN,
    Block,
    Captions,
    caption_nodes,
    evidence_edges,
    given_evidence_edges,
    given_image,
    label_evidence,
    log_captions,
    nodes_between,
    normal,
    turns,
)
from theory.learners.captions import pooled_preference
from theory.learners.contour import Scales, world_accuracy
from theory.learners.curve import objects_averaged

WIDTH = 1.2  # of an even panel, in deviations of a caption given the image
MOST = 40  # even panels
FLAT = 16.0  # below exp(-FLAT), the change of R (1 - eps)/eps along captions needs no panels
TINY = 1e-300
AGAINST = np.array([1.0, -1.0])  # label + less label -
MOST_PAIRS = 110_000  # of captions per image; a boundary takes three thousand images, and then ten CPU seconds
CELLS = 2**16  # numbers held in one array at a time
SPACINGS = (1.0, 0.6, 0.45)  # of the contour's grid, tried in this order


class Side(NamedTuple):
    """One block's captions at images x: nodes, row y for the label y. `a` is divided by exp(`log_scale`)."""

    a: Float[np.ndarray, "s 2 n"]
    da: Float[np.ndarray, "s 2 n"]
    log_scale: Float[np.ndarray, " s"]
    h: Float[np.ndarray, "s 2 n"]
    weight: Float[np.ndarray, "s 2 n"]  # p(t | y)
    image: Float[np.ndarray, "s 2"]  # log p(x_b | y)
    slope: Float[np.ndarray, "s 2"]


def _nodes(block: Block, x: Float[np.ndarray, " s"], most: float) -> Captions:
    """Even panels, as narrow as captions given the image, or panels around these if that would be too many.

    `most` is the largest log R (1 - eps)/eps.
    """
    own, end = SHOWN * block.mu, block.mu + WITHIN * np.sqrt(block.S_T)
    narrow = min([block.spread, *([block.nu_T] if block.fuzzy else [])])
    panels = np.ceil(2 * end / min(WIDTH * np.sqrt(narrow), EVIDENCE * block.S_T / (2 * block.mu + TINY)))
    if panels <= MOST:
        return nodes_between(block, np.broadcast_to(np.linspace(-end, end, int(panels) + 1), (len(x), int(panels) + 1)))
    mean = given_image(block, x)
    # R falls by exp(-2 pi) from edge to edge around the captions that the image suggests.
    steps = np.sqrt(4 * np.pi * np.arange(0.3, np.ceil((FLAT + max(most, 0.0)) / (2 * np.pi)) + 1))
    near = np.sqrt(block.spread) * np.concatenate([-steps, [0.0], steps])
    edges = [
        given_evidence_edges(block, x),
        evidence_edges(block, 0 * x, 2 * block.mu / block.S_T),
        (mean + near).reshape(len(x), -1),
    ]
    centre = np.broadcast_to(own[:, 0], (len(x), 2))
    changes = [turns(block, mean[..., 0], block.spread), turns(block, centre, block.S_T)]
    return caption_nodes(block, own + 0 * mean, block.S_T, np.concatenate(changes, -1), np.concatenate(edges, -1))


def _side(block: Block, x: Float[np.ndarray, " s"], most: float) -> Side:
    mean, own, nodes = given_image(block, x), SHOWN * block.mu, _nodes(block, x, most)
    said = block.pi * np.exp(block.log_agreement) @ normal(nodes.t[..., None, :], own, block.S_T)
    weight = said * nodes.dt[..., None, :] + nodes.silence[..., None, :]
    tilt = own / block.S
    shown, mention = log_captions(block, nodes, mean, block.spread)
    alone, _ = log_captions(block, nodes, own, block.S_T)
    if not block.fuzzy:  # a density of mentions that `log_captions` leaves out
        shown = shown - np.where(nodes.mentioned, np.log(block.spread) / 2, 0.0)
        alone = alone - np.where(nodes.mentioned, np.log(block.S_T) / 2, 0.0)
    slope = tilt + mention * (nodes.t[..., None, :] - mean) * (block.shrinkage / block.spread)
    log_a, dlog_a = label_evidence(block, shown + tilt * x[..., None, None], slope)
    log_h, _ = label_evidence(block, alone, 0 * alone)
    image, dimage = label_evidence(block, tilt * x[..., None, None], tilt + 0 * x[..., None, None])
    top = log_a.max(axis=(-2, -1), keepdims=True)
    a = np.exp(log_a - top)
    weight /= weight.sum(axis=-1, keepdims=True)
    return Side(a, a * dlog_a, top[:, 0, 0], np.exp(log_h), weight, image[..., 0], dimage[..., 0])


class MismatchedScores(NamedTuple):
    """The preference for +, as `theory.learners.pmi.Preference`; images in units of `unit`."""

    blocks: tuple[Block, Block]
    unit: tuple[float, float]
    log_odds: float  # log((1 - eps)/eps)

    def of(self, _) -> "MismatchedScores":
        """The same world at other points."""
        return self

    def pairs(self) -> int:
        """Pairs of captions per image."""
        first, second = self._sides(np.zeros(1), np.zeros(1))
        return first.a.shape[-1] * second.a.shape[-1]

    def _sides(self, x: Float[np.ndarray, " s"], y: Float[np.ndarray, " s"]) -> tuple[Side, Side]:
        # R of a block is at most the ratio of deviations of captions, times the odds of its class and the label.
        with np.errstate(divide="ignore"):
            most = [np.log(block.S_T / block.spread) / 2 + np.log(2) for block in self.blocks]
        most = self.log_odds + sum(most)
        return _side(self.blocks[0], self.unit[0] * x, most), _side(self.blocks[1], self.unit[1] * y, most)

    def _at(self, x: Float[np.ndarray, " s"], y: Float[np.ndarray, " s"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first, second = self._sides(x, y)
        images = first.image + second.image
        log_image = np.logaddexp(images[:, 0], images[:, 1])
        posterior = np.exp(images - log_image[:, None])
        k = np.exp(self.log_odds + np.log(2) + first.log_scale + second.log_scale - log_image)[:, None, None]
        E, H = (k * first.a).swapaxes(1, 2) @ second.a, first.h.swapaxes(1, 2) @ second.h
        H += TINY  # captions of no class have no weight
        total = E + H
        preference = (first.weight @ np.log(total / H) * second.weight).sum(axis=-1) @ AGAINST

        # d log(1 + E/H) = (dE - E d log p(x))/(E + H), and E is a sum of two products, so sums over nodes are products.
        def rows(side: Side, part: np.ndarray) -> Float[np.ndarray, "s label_y n"]:
            return (side.weight[:, :, None] * part[:, None]).reshape(len(x), 4, -1)

        left = np.concatenate([rows(first, k * first.a), rows(first, k * first.da)], axis=1) @ (1 / total)  # (s, 8, m)
        right, dright = rows(second, second.a), rows(second, second.da)
        matched, along, across = (
            (one * other).sum(axis=-1) @ np.repeat(AGAINST, 2)
            for one, other in ((left[:, :4], right), (left[:, 4:], right), (left[:, :4], dright))
        )
        return (
            preference,
            self.unit[0] * (along - matched * (posterior * first.slope).sum(axis=-1)),
            self.unit[1] * (across - matched * (posterior * second.slope).sum(axis=-1)),
        )

    def __call__(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(g, dg/dx, dg/dy) at points."""
        x, y = np.broadcast_arrays(x, y)
        each, found = max(1, CELLS // self.pairs()), np.empty((3, x.size))
        for start in range(0, x.size, each):
            part = slice(start, start + each)
            found[:, part] = self._at(x.ravel()[part], y.ravel()[part])
        return tuple(found.reshape(3, *x.shape))

    def positive(self, x: Float[np.ndarray, "1 n 1"], y: Float[np.ndarray, "1 1 m"]) -> Bool[np.ndarray, "1 n m"]:
        """Whether g > 0 where the lines x and y cross."""
        return self(x, y)[0] > 0


def mismatched_preference(world: Worlds) -> tuple[MismatchedScores, Scales]:
    """The preference of one world, and its scales; in units whose means are not negative."""
    pooled = pooled_preference(world, "scores")
    pooled = pooled._replace(unit=tuple(np.abs(pooled.unit)))
    eps = float(world.mismatch)
    return MismatchedScores(pooled.blocks, pooled.unit, np.log1p(-eps) - np.log(eps)), pooled.scales()


def mismatched_scores(world: Worlds, image: Float[np.ndarray, "N B width"]) -> Float[np.ndarray, "N 2"]:
    """Scores with the decisions of the mean of scores, in one world."""
    _check(world)
    preference, _ = mismatched_preference(world)
    g, *_ = preference(*(np.where(world.mean < 0, -1.0, 1.0) * image[..., 0] / preference.unit).T)
    return np.stack([g, -g], axis=-1)


def _check(worlds: Worlds) -> None:
    if worlds.classes != 2 or worlds.mean.shape[-1] != 2:
        raise ValueError(
            "the mean of scores is known for mismatched captions of two classes with one background; other prompts "
            "do not depend on mismatch"
        )


def mismatched_scores_accuracy(worlds: Worlds, tolerance: float = 1e-6) -> Accuracy:
    """Group accuracies of a grid of worlds, absolute error below `tolerance`; two classes and one attribute."""
    _check(worlds)
    row = worlds.ravel()
    each = [(np.arange(row.size) == w, _of_world(row[[w]], tolerance)) for w in range(row.size)]
    return joined([(rows.reshape(worlds.shape), part) for rows, part in each], worlds.shape)


def _of_world(world: Worlds, tolerance: float) -> Accuracy:
    if not pooled_preference(world[0], "scores").informative:
        return Accuracy(np.full(1, 0.5), np.full(1, 0.5))
    preference, scales = mismatched_preference(world[0])
    if preference.pairs() > MOST_PAIRS:
        raise ArithmeticError(
            f"the mean of scores needs {preference.pairs():,} pairs of captions per image in this world, and the limit "
            f"is {MOST_PAIRS:,}; more noise in views needs fewer"
        )
    shown = world_accuracy(preference, scales, tolerance, SPACINGS)
    if shown is None:
        raise ArithmeticError("the boundary of the mean of scores is too jagged to be followed in this world")
    return Accuracy(*objects_averaged(shown, world.agreement[:, :1]).T)
