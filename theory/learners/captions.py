"""The InfoNCE optimum with all captions of a class as prompts, t ~ p(t | y): two classes, one attribute.

captions   The score is log E_{t|y} e^PMI = log E_{t|y} p(x | t)/p(x). By Bayes' rule p(t | y)/p(t) = p(y | t)/p(y), so
           it equals log E[p(y | t) | x] + const: the mean posterior of the label over captions of the image. + wins iff
               E[tanh(sum_b v_b(t_b)) | x] > 0,   v_b = log(p(t_b | +)/p(t_b | -))/2.
           If captions mention everything without noise, y and x are independent given t, and this is the Bayes rule of
           the training law on images (T9). Uesaka et al. (ICLR 2025, arXiv 2510.15508) prove that the optimum is the
           PMI; Mehta and Harchaoui (ICML 2025, arXiv 2507.09128) study what prompts lose against Bayes' rule.
scores     The score is E_{t|y} PMI(x, t). With v_b = log(p(x_b, t_b | +)/p(x_b, t_b | -))/2, + wins iff
               (E_{t|+} - E_{t|-}) [sum_b log(p(x_b, t_b | +) p(x_b, t_b | -))/2 + log cosh(sum_b v_b)] > 0.
           If captions mention everything without noise, the nearest average caption wins, a linear rule.
The blocks of t are independent given y, or given x and the classes that both blocks show. So both averages are products
of a row of weights for one block, a matrix over pairs of nodes, and a column of weights for the other block.

Choose signs such that mu_b and D_b are not negative. If captions show what they mention (full mention, or no noise in
captions), both preferences rise in every coordinate of the image. Proof: (y, z, t, x) is multivariate totally positive
of order 2 (Karlin and Rinott 1980), as products of such kernels are. So p(t | +) is stochastically above p(t | -), t
given x rises with x, and the slope d/dx_b log p(x, t) = (E[z_b | x, t] - x_b)/n_I rises with t (z_b without what the
image has alone, of variance n_I). The boundary is then a
monotone curve (`theory.learners.curve`). Otherwise it may have any shape (`theory.learners.contour`).
"""

from contextlib import suppress
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.polynomial.chebyshev import chebvander

from simulator.accuracy import Accuracy
from simulator.gaussian.critic import gaussian_points
from simulator.prompts import Prompt
from simulator.world import World
from theory.accuracy import linear_accuracy
from theory.learners.base import by_route, world_by_world
from theory.learners.bayes import bayes_accuracy
from theory.learners.caption_nodes import (
    SHOWN,
    Block,
    evidence_edges,
    given_evidence_edges,
    given_image,
    label_evidence,
    log_captions,
    nodes_between,
    normal,
    panel_edges,
    turns,
)
from theory.learners.contour import contour_accuracy
from theory.learners.curve import accuracy_along, boundary, objects_averaged
from theory.learners.drawn_captions import drawn_captions_accuracy, drawn_captions_scores
from theory.learners.pmi import Scales
from theory.quadrature import REPLICATES, estimate

NOTHING = 1e-13  # of the largest weight
ROUNDING = 36.0  # -log of the relative error of interpolation
CELLS = 2**15  # pairs of captions held at one time: they stay in the cache,
IMAGES = 16  # and so do the captions of this many images
ALONG = 65  # nodes between which the boundary of scores is interpolated, dense where it bends
MOST_PAIRS = 3e8  # pairs of captions, over all images of a boundary: two to four CPU seconds,
MOST_COUNTED = 1e8  # and of images whose decisions are counted where it cannot be followed
PER_NODE = 50  # as many pairs take the time of one caption of one block
SPACINGS = (0.6, 0.45)  # of the contour's grid, tried in this order


class Side(NamedTuple):
    """What one block contributes to the preference at images x: n captions t of the block, and functions of them.

    captions   v = log(p(t | +)/p(t | -))/2; the rows of `weight` are p(t | x, c) of mentions, c = +-1 the class that
               the block shows, and of silence; `slope` is the derivative of the former along x; `own` is
               log(p(x | c = +)/p(x | c = -))/2
    scores     v = log(p(x, t | +)/p(x, t | -))/2; the rows of `weight` are the mean of p(t | +) and p(t | -) and half
               their difference, and `slope` weighs the derivatives of v along x; `own` is what this block adds alone
    `down` is the derivative of `own`.
    """

    v: Float[np.ndarray, "*s n"]
    weight: Float[np.ndarray, "*s r n"]
    slope: Float[np.ndarray, "*s 2 n"]
    own: Float[np.ndarray, "*s"]
    down: Float[np.ndarray, "*s"]

    def at(self, index) -> "Side":
        """The images of an index."""
        return Side(*(field[index] for field in self))

    def kept(self) -> "Side":
        """Without captions that have next to no weight in all rows; as many remain for every image."""
        top = self.weight.max(axis=-1, keepdims=True)
        share = np.divide(np.abs(self.weight), top, out=np.zeros_like(self.weight), where=top > 0).max(axis=-2)
        count = int((share > NOTHING).sum(axis=-1).max(initial=1))
        best = np.argpartition(-share, count - 1, axis=-1)[..., :count]
        weight, slope = (np.take_along_axis(field, best[..., None, :], -1) for field in (self.weight, self.slope))
        return Side(np.take_along_axis(self.v, best, -1), weight, slope, self.own, self.down).gathered()

    def gathered(self) -> "Side":
        """With the weights moved to Chebyshev nodes of v, if these are far fewer.

        tanh(v + v') and log cosh(v + v') have their poles pi/2 away from real v. So the error of interpolation falls as
        (h + sqrt(1 + h^2))^-N, h = (pi/2)/(half the range of v).
        """
        low, high = self.v.min(axis=-1, keepdims=True), self.v.max(axis=-1, keepdims=True)
        middle, half = (low + high) / 2, (high - low) / 2
        with np.errstate(divide="ignore"):
            count = int(np.ceil(ROUNDING / np.arcsinh(np.pi / 2 / half.max(initial=0.0)))) + 2
        if 2 * count >= self.v.shape[-1]:
            return self
        nodes = np.cos(np.pi * (np.arange(count) + 0.5) / count)
        t = np.clip(np.divide(self.v - middle, half, out=np.zeros_like(self.v), where=half > 0), -1, 1)
        share = (chebvander(nodes, count - 1) * np.where(np.arange(count) > 0, 2, 1) / count).T
        powers = chebvander(t, count - 1)  # T_j at v, (*s, n, N)
        weight, slope = (rows @ powers @ share for rows in (self.weight, self.slope))
        return Side(middle + half * nodes, weight, slope, self.own, self.down)


def _captions_side(block: Block, x: Float[np.ndarray, "*s"]) -> Side:
    """A block's captions given the image."""
    mean, own = given_image(block, x), SHOWN * block.mu
    changes = turns(block, np.broadcast_to(own[:, 0], (*x.shape, 2)), block.S_T)
    edges = evidence_edges(block, 0 * x, 2 * block.mu / block.S_T)
    captions = nodes_between(block, panel_edges(block, mean, block.spread, changes, edges))
    said = block.pi * normal(captions.t[..., None, :], mean, block.spread) * captions.dt[..., None, :]
    pull = (captions.t[..., None, :] - mean) * (block.shrinkage / block.spread)
    _, gap, _ = log_captions(block, captions, 0 * x, block.mu, block.S_T)
    v, _, _ = label_evidence(block, gap)
    slope = np.full(x.shape, block.mu / block.S)
    return Side(v, np.concatenate([said, captions.silence[..., None, :]], axis=-2), pull * said, slope * x, slope)


def _scores_side(block: Block, x: Float[np.ndarray, "*s"]) -> Side:
    """A block's captions given the label; nodes t and -t in pairs make `own` exact, however large its even part is."""
    mean, own = given_image(block, x), SHOWN * block.mu
    changes, evidence = turns(block, mean[..., 0], block.spread), given_evidence_edges(block, x)
    edges = panel_edges(block, own + 0 * mean, block.S_T, changes, evidence)
    exact = _scores_side_at(block, x, np.sort(np.concatenate([edges, -edges], axis=-1), axis=-1))
    return _scores_side_at(block, x, edges)._replace(own=exact.own, down=exact.down)


def _scores_side_at(block: Block, x: Float[np.ndarray, "*s"], edges: Float[np.ndarray, "*s k"]) -> Side:
    captions = nodes_between(block, edges)
    half, tilt = (1 - block.shrinkage) * block.mu, block.mu / block.S
    log_mean, gap, mention = log_captions(block, captions, block.shrinkage * x, half, block.spread)
    gap = gap + tilt * x[..., None]
    off = captions.t[..., None, :] - given_image(block, x)
    pull = mention * off * (block.shrinkage / block.spread)  # on log p(x, t | class)
    pull_mean, pull_gap = pull.mean(axis=-2), tilt + (pull[..., 0, :] - pull[..., 1, :]) / 2
    v, bend, more = label_evidence(block, gap)
    D = 2 * block.p - 1
    slope = pull_mean + np.tanh(gap) * (1 - D * bend) * pull_gap

    said = block.pi * normal(captions.t[..., None, :], SHOWN * block.mu, block.S_T).mean(axis=-2) * captions.dt
    apart = said * D * np.tanh(block.mu / block.S_T * captions.t)
    weight = np.stack([said + captions.silence, apart], axis=-2)
    weight /= weight[..., :1, :].sum(axis=-1, keepdims=True)
    own, down = (2 * (weight[..., 1, :] * f).sum(axis=-1) for f in (log_mean + more, slope))
    return Side(v, weight, weight * (bend * pull_gap)[..., None, :], own, down)


def _evidence(first: Side, second: Side) -> Float[np.ndarray, "*s n m"]:
    """v + v' of every pair of captions."""
    return first.v[..., :, None] + second.v[..., None, :]


def _captions_pair(first: Side, second: Side, law: Float[np.ndarray, "2 2"]):
    """E[tanh(v + v') | x] and its gradient; `law` is P(o, a). Captions that are silent on both blocks add 0."""
    guess = _evidence(first, second)
    np.tanh(guess, out=guess)
    either = [
        np.concatenate([side.weight[..., :2, :] + side.weight[..., 2:, :], side.slope], axis=-2)
        for side in (first, second)
    ]
    table = either[0] @ guess @ either[1].swapaxes(-1, -2)  # (*s, 4, 4)
    mean = table[..., :2, :2] - first.weight[..., 2:, :] @ guess @ second.weight[..., 2:, :].swapaxes(-1, -2)
    one = SHOWN[:, 0]
    with np.errstate(divide="ignore"):
        posterior = np.log(law) + (one * first.own[..., None])[..., None] + one * second.own[..., None, None]
    posterior = np.exp(posterior - posterior.max(axis=(-2, -1), keepdims=True))
    posterior /= posterior.sum(axis=(-2, -1), keepdims=True)
    value = (posterior * mean).sum(axis=(-2, -1))
    tilted = posterior * (mean - value[..., None, None])
    return (
        value,
        (posterior * table[..., 2:, :2]).sum(axis=(-2, -1)) + first.down * (tilted.sum(axis=-1) @ one),
        (posterior * table[..., :2, 2:]).sum(axis=(-2, -1)) + second.down * (tilted.sum(axis=-2) @ one),
    )


def _scores_pair(first: Side, second: Side, _):
    """(E_{t|+} - E_{t|-}) log p(x, t) and its gradient: log cosh u = |u| - log(1 + tanh |u|), u = v + v'."""
    log_cosh = _evidence(first, second)
    tanh = np.tanh(log_cosh)
    np.abs(log_cosh, out=log_cosh)
    log_cosh -= np.log1p(np.abs(tanh))

    def apart(rows, f, others):
        """E_{t|+} f - E_{t|-} f, of means m and half gaps d: 2 sum (m d' + d m') f."""
        return 2 * (rows @ f * others[..., ::-1, :]).sum(axis=(-2, -1))

    return (
        first.own + second.own + apart(first.weight, log_cosh, second.weight),
        first.down + apart(first.slope, tanh, second.weight),
        second.down + apart(first.weight, tanh, second.slope),
    )


class Pooled(NamedTuple):
    """The preference for + between all captions of both classes, of one world, as `theory.learners.pmi.Preference`.

    Coordinates are in units of `unit`: standard deviations of an image within its group, with signs.
    """

    prompt: Prompt
    blocks: tuple[Block, Block]
    unit: tuple[float, float]

    @property
    def fuzzy(self) -> bool:
        """Whether captions may not show what they mention; otherwise the boundary is a monotone curve."""
        return any(block.fuzzy for block in self.blocks)

    @property
    def informative(self) -> bool:
        """Whether captions of the classes differ."""
        return any(block.mu * (2 * block.p - 1) * block.pi for block in self.blocks)

    def of(self, _) -> "Pooled":
        """The same world at other points."""
        return self

    def raw_sides(self, x: np.ndarray, y: np.ndarray) -> tuple[Side, Side]:
        """Both blocks at their own coordinates, with all captions."""
        side = _captions_side if self.prompt == "captions" else _scores_side
        return side(self.blocks[0], self.unit[0] * x), side(self.blocks[1], self.unit[1] * y)

    def sides(self, x: np.ndarray, y: np.ndarray) -> tuple[Side, Side]:
        """Both blocks at their own coordinates."""
        first, second = self.raw_sides(x, y)
        return first.kept(), second.kept()

    def pair(self, first: Side, second: Side):
        """(g, dg/dx, dg/dy) from both sides."""
        same = (self.blocks[0].p * self.blocks[1].p) + (1 - self.blocks[0].p) * (1 - self.blocks[1].p)
        law = np.array([[same, 1 - same], [1 - same, same]])
        value, along, across = (_captions_pair if self.prompt == "captions" else _scores_pair)(first, second, law)
        return value, self.unit[0] * along, self.unit[1] * across

    def __call__(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(g, dg/dx, dg/dy) at points."""
        x, y = np.broadcast_arrays(x, y)
        found = np.empty((3, x.size))
        for start in range(0, x.size, IMAGES):
            images = slice(start, start + IMAGES)
            first, second = self.sides(x.ravel()[images], y.ravel()[images])
            found[:, images] = self.pairs_of(first, second)
        return tuple(found.reshape(3, *x.shape))

    def pairs_of(self, first: Side, second: Side) -> Float[np.ndarray, "3 n"]:
        """(g, dg/dx, dg/dy) from the two sides of n images, or one image's first side; few pairs are held at a time."""
        each = max(1, CELLS // (first.v.shape[-1] * second.v.shape[-1]))
        parts = [slice(start, start + each) for start in range(0, len(second.v), each)]
        return np.hstack([self.pair(first if len(first.v) == 1 else first.at(part), second.at(part)) for part in parts])

    def pairs(self) -> tuple[int, int]:
        """Pairs of captions that take the time of one side, and pairs per image, near the origin."""
        sides = self.raw_sides(np.zeros(1), np.zeros(1))
        first, second = (side.kept().v.shape[-1] for side in sides)
        return PER_NODE * sum(side.v.shape[-1] for side in sides) // 2, first * second

    def positive(self, x: Float[np.ndarray, "1 a b"], y: Float[np.ndarray, "1 c d"]) -> Bool[np.ndarray, "1 n m"]:
        """Whether g > 0 where lines cross, of which one set lies along the second axis, the other along the third."""
        first, second = self.sides(x.ravel(), y.ravel())
        above = np.stack([self.pairs_of(first.at(np.s_[i : i + 1]), second)[0] for i in range(x.size)]) > 0
        return (above.T if x.shape[1] == 1 else above)[None]

    def scales(self) -> Scales:
        """Where the preference may change fast: images that silent captions resemble."""
        centre, deviation = np.zeros((2, 2, 1)), np.ones((2, 1))
        for b, block in enumerate(self.blocks):
            if block.fuzzy and block.shrinkage > 0:
                if self.prompt == "captions":  # E[t | x] = 0
                    toward, spread = -block.image_alone / block.shared, block.spread / block.shrinkage**2
                else:  # E[x | t = 0]
                    toward = block.caption_alone / block.S_T
                    spread = block.image_alone + block.shared * toward
                centre[b, :, 0] = SHOWN[:, 0] * block.mu * toward / self.unit[b]
                deviation[b] = np.sqrt(spread) / np.abs(self.unit[b])
        mean = np.array([[block.mu / unit] for block, unit in zip(self.blocks, self.unit, strict=True)])
        return Scales(mean, centre, deviation)


def all_captions_accuracy(worlds: World, prompt: Prompt, seed: int = 0, tolerance: float = 1e-6) -> Accuracy:
    """Group accuracies of the PMI critic with all captions of a class as prompts; a tie counts 1/K.

    If captions are the latents themselves, these are closed forms. Two classes with one attribute take a quadrature,
    absolute error below `tolerance`. If their boundary cannot be followed, or takes too many pairs of captions, exact
    decisions are counted on sampled images, with a 95% interval: one or two of 100 worlds of masked, noisy captions,
    over all decades of the fields. The rest, and the mean of scores with mismatched captions, is sampled
    (`theory.learners.drawn_captions`).
    """
    routes = [
        lambda part: bayes_accuracy(part, seed) if prompt == "captions" else linear_accuracy(part.prompt("mean"), part),
        lambda part: world_by_world(lambda world: _by_quadrature(world, prompt, seed, tolerance), part),
        lambda part: drawn_captions_accuracy(part, prompt, seed),
    ]
    strays = _strays(worlds, prompt)
    latents = ((worlds.mention == 1) & (worlds.caption_alone == 0)).all(axis=-1) & ~strays
    route = np.where(latents, 0, np.where(strays | (not _two_blocks(worlds)), 2, 1))
    return by_route(route, routes, worlds)


def all_captions_scores(world: World, prompt: Prompt, image: Float[np.ndarray, "N B width"]) -> np.ndarray:
    """Scores (N, K) with the decisions of all captions: the preference or distances from its curve, or drawn ones."""
    if not _two_blocks(world) or _strays(world, prompt):
        return drawn_captions_scores(world, prompt, image)
    pooled = pooled_preference(world, prompt)
    x, y = (np.where(world.mean < 0, -1.0, 1.0) * image[..., 0] / pooled.unit).T
    if pooled.fuzzy or not pooled.informative:
        g, *_ = pooled(x, y)
        return np.stack([g, -g], axis=-1)
    from scipy.interpolate import CubicSpline  # start-up time

    v, w = (x + y) / np.sqrt(2), (x - y) / np.sqrt(2)
    nodes = max(1.0, np.abs(w).max(initial=0)) * np.linspace(0, 1, ALONG) ** 2
    beyond = v - np.sign(w) * CubicSpline(nodes, boundary(pooled, nodes, 0 * nodes, nodes))(np.abs(w))
    return np.stack([beyond, -beyond], axis=-1)


def pooled_preference(world: World, prompt: Prompt) -> Pooled:
    """The preference of one world, turned such that it rises in both coordinates if it is a curve."""
    alone = world.image_alone, world.caption_alone, np.broadcast_to(world.nu_text, 2)
    fields = (np.abs(world.mean), world.shared, world.agreement, world.mention, *alone)
    first, second = (Block(*[float(field[b]) for field in fields]) for b in (0, 1))
    units = [np.sqrt(block.S) * (-1 if block.p < 0.5 else 1) for block in (first, second)]
    return Pooled(prompt, (first, second), (units[0], units[1]))


def _two_blocks(worlds: World) -> bool:
    return worlds.class_count == 2 and worlds.mean.shape[-1] == 2


def _strays(worlds: World, prompt: Prompt) -> np.ndarray:
    """Whether captions of other pairs change decisions."""
    return np.broadcast_to((np.asarray(worlds.mismatch) > 0) & (prompt == "scores"), worlds.shape)


def _by_quadrature(world: World, prompt: Prompt, seed: int, tolerance: float) -> Accuracy:
    """Accuracies in one world, whose scales need their own number of captions."""
    pooled = pooled_preference(world, prompt)
    shown = region(pooled, tolerance) if pooled.informative else np.full((1, 2), 0.5)
    if shown is None:
        return estimate(objects_averaged(counted(pooled, seed), world.agreement[0]))
    return Accuracy(*objects_averaged(shown[0], world.agreement[0]))


class _Spent(Exception):
    """A boundary needs more pairs of captions than its budget."""


class _Limited:
    """A preference that counts pairs of captions, and raises _Spent beyond MOST_PAIRS."""

    def __init__(self, pooled: Pooled):
        self.pooled, self.left, (self.per_side, self.each) = pooled, MOST_PAIRS, pooled.pairs()

    def of(self, _) -> "_Limited":
        return self

    def _spend(self, sides: int, images: int) -> None:
        self.left -= sides * self.per_side + images * self.each
        if self.left < 0:
            raise _Spent

    def __call__(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        images = np.broadcast(x, y).size
        self._spend(2 * images, images)
        return self.pooled(x, y)

    def positive(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        self._spend(x.size + y.size, x.size * y.size)
        return self.pooled.positive(x, y)


def region(pooled: Pooled, tolerance: float) -> Float[np.ndarray, "1 2"] | None:
    """(common, counter) of images that show the label's object; None if the boundary is lost or takes too long."""
    if not pooled.fuzzy:
        accuracy, sound = accuracy_along(lambda _, *where: boundary(pooled, *where), pooled.scales().mean, tolerance)
        if sound.all():
            return accuracy
    pooled = pooled._replace(unit=tuple(np.abs(pooled.unit)))  # the contour's means are not negative
    limited = _Limited(pooled)
    with suppress(_Spent):
        for spacing in SPACINGS:
            accuracy, sound = contour_accuracy(limited, pooled.scales(), tolerance, spacing)
            if sound.all():
                return accuracy
    return None


def counted(pooled: Pooled, seed: int) -> Float[np.ndarray, "R 2"]:
    """(common, counter) of images that show the label's object, by their decisions on Sobol points."""
    per_side, each = pooled.pairs()
    power = int(np.clip(np.log2(MOST_COUNTED / (2 * REPLICATES * (2 * per_side + each))), 3, 9))
    noise = np.array([gaussian_points(2, power, seed * REPLICATES + r) for r in range(REPLICATES)])
    means = pooled.scales().mean[:, 0] * np.array([[1, 1], [1, -1]])  # of both groups
    g, *_ = pooled(*np.moveaxis(noise[:, :, None] + means, -1, 0))
    return ((1 + np.sign(g)) / 2).mean(axis=1)
