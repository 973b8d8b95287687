"""Log densities of views on the l-dimensional latent subspace, where all information about the
label lies.

Given the label y the blocks are independent, and a caption mask acts on one block, so the sum over
all groups and mask patterns factorises:
    log p(x_I, x_T) = LSE_y [ -log K + sum_b T_b(y) ],
    T_b(y) = log( p_b e^{f_b(y)} + (1 - p_b)/(K - 1) sum_{a != y} e^{f_b(a)} ),   T_0 = f_0 where
                                                                                  p_inv = 1,
    f_b(a) = log sum_m P(m) prod_k N2((x_I,k , x_T,k); mean (1, m) mu_{b,k}(a), cov),
    cov = [[sigma^2 + nu_I, m g sigma^2], [m g sigma^2, m^2 sigma^2 + nu_T]], g the block's detail,
with LSE = log-sum-exp, m the multiple of the block that a kind of caption shows
(`World.caption_kinds`), mu_{b,k}(a) = +-mu_b (two classes, one number per block) or mu_b 1[k = a]
(K classes, K numbers). Dropping x_T leaves the law of x_I. Natural logarithms (nats). Coordinates
orthogonal to the dictionaries are independent noise and cancel from every decision. This is the law
of captions that are not bare; a bare caption is an atom of its own, and leaves their decisions
alone.
"""

from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from simulator.accuracy import Numbers
from simulator.world import World

SAME = 1e-9  # difference of logarithms that would be equal without rounding
TINY = 1e-290  # sums of exponentials below it have lost digits


def class_patterns(
    agreement: Float[np.ndarray, " J"], K: int
) -> tuple[Int[np.ndarray, "P J"], np.ndarray]:
    """Patterns in which J attributes coincide with the label and each other, and their
    probabilities.

    The label is class 0; other classes are numbered in order of appearance, so that K = 50 has as
    few patterns as K = 7.
    """
    patterns: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    for p in agreement:
        grown: list[tuple[tuple[int, ...], float]] = []
        for pattern, weight in patterns:
            largest = max(pattern, default=0)
            other = weight * (1 - p) / (K - 1)
            # the last is any new class
            chances = [weight * p, *[other] * largest, other * (K - 1 - largest)]
            grown += [((*pattern, c), chance) for c, chance in enumerate(chances[:K])]
        patterns = grown
    codes, weights = zip(*patterns, strict=True)
    return np.array(codes, dtype=np.int64).reshape(len(codes), len(agreement)), np.array(weights)


def image_patterns(
    K: int, blocks: int, p_inv: Numbers
) -> tuple[Int[np.ndarray, "P B"], Float[np.ndarray, "P 2"]]:
    """Patterns of classes that test images of class 0 show, and their shares of common and counter
    images.
    """
    # under the test law
    codes, weights = class_patterns(np.array([p_inv, *[1 / K] * (blocks - 1)]), K)
    codes = codes[weights > 0]
    weights = weights[weights > 0]
    common = codes[:, 1:2] == 0
    return codes, np.hstack([common, ~common]) * weights[:, None] / [1 / K, 1 - 1 / K]


def block_log_density(
    image: Float[np.ndarray, "... width"] | None,
    text: Float[np.ndarray, "... width"] | None,
    world: World,
    b: int,
) -> Float[np.ndarray, "... K"]:
    """f_b(a) for every class a of block b; the log density of one view alone where the other is
    None.

    Densities must exist: sigma^2 + nu_I > 0. A text that may tell of the block also needs nu_I > 0
    or detail < 1, and nu_T > 0 or sigma > 0. At nu_T = 0 silence is an atom at 0: a nonzero text
    tells of the block, and a zero text is silent if captions may be.
    """
    if text is None:
        return _gaussian(image, None, world, b)
    return np.logaddexp(*block_parts(image, text, world, b))


def block_parts(
    image: Float[np.ndarray, "... width"] | None,
    text: Float[np.ndarray, "... width"],
    world: World,
    b: int,
) -> tuple[Float[np.ndarray, "... K"], Float[np.ndarray, "... K"]]:
    """The two terms of f_b(a): the caption is silent on the block, or tells of it; their
    log-sum-exp is f_b(a).
    """
    silence = world.caption_kinds.silence[b]
    count = world.background_count if b else world.class_count
    terms = [
        np.log(kind.chance[b]) + _gaussian(image, text, world, b, kind.multiple)
        for kind in world.caption_kinds.every
        if kind.multiple and kind.chance[b]
    ]
    mention = reduce(np.logaddexp, terms or [np.full(count, -np.inf)])
    if not silence:
        return np.full_like(mention, -np.inf), mention
    silent = _log_silence(text, world, b)[..., None]
    silent = silent + (
        np.zeros(count) if image is None else block_log_density(image, None, world, b)
    )
    atom = (text == 0).all(-1) & (world.nu_text == 0)
    return silent, np.where(atom[..., None], -np.inf, mention)


def _log_silence(text: np.ndarray, world: World, b: int) -> np.ndarray:
    """log p(silent, x_T) of one block; without noise a text is exactly 0 if and only if it is
    silent.
    """
    nu_T = world.nu_text
    with np.errstate(divide="ignore"):
        log_chance = np.log(world.caption_kinds.silence[b])
    if nu_T == 0:
        return np.where((text != 0).any(-1), -np.inf, log_chance)
    return log_chance - ((text**2).sum(-1) / nu_T + text.shape[-1] * np.log(2 * np.pi * nu_T)) / 2


def _gaussian(image: Any, text: Any, world: World, b: int, multiple: float = 1.0) -> np.ndarray:
    """log p(x_I, x_T | a) for captions that show a multiple of the block; of one view alone where
    the other is None.

    x_T/multiple shows the block itself. Determinant and quadratic form are written as sums of
    squares: in the form S_I S_T - sigma^4 they would cancel as nu -> 0.
    """
    mu = world.mean[b]
    v, n_I, n_T = (each[b] for each in world.variances(multiple))
    if image is None or text is None:
        pull, determinant = (text / multiple, v + n_T) if image is None else (image, v + n_I)
        square = (pull**2).sum(-1)
        gain = 1.0
        views = 1
    else:
        x = image
        t = text / multiple
        determinant = v * (n_I + n_T) + n_I * n_T
        square = v * ((x - t) ** 2).sum(-1) + n_T * (x**2).sum(-1) + n_I * (t**2).sum(-1)
        pull = n_T * x + n_I * t
        gain = n_I + n_T
        views = 2
    width = pull.shape[-1]
    base = (square + mu**2 * gain) / determinant + width * np.log(
        (2 * np.pi) ** views * determinant
    )
    pull = mu / determinant * pull
    if width == 1:  # two classes, +-pull of one coordinate; else each class has its own
        pull = np.concatenate([pull, -pull], axis=-1)
    return pull - (base / 2 + width * np.log(abs(multiple)))[..., None]


def block_law(world: World, b: int) -> Float[np.ndarray, "K A"]:
    """P(a | y) of the class that block b shows; of the background P(y, a), if there is a table."""
    if b == 1 and world.table is not None:
        return np.array(world.table)
    p = world.agreement[b] if world.table is None else world.p_inv
    return np.where(np.eye(world.class_count), p, (1 - p) / (world.class_count - 1))


def given_label(
    f: Float[np.ndarray, "... A"], law: Float[np.ndarray, "K A"]
) -> Float[np.ndarray, "... K"]:
    """T(y) = log sum_a P(y, a) e^f(a): the class that a block shows summed out, by a law as that of
    `block_law`.
    """
    if np.max(f, initial=-np.inf) == -np.inf:  # silence where captions are full
        return np.full((*f.shape[:-1], len(law)), -np.inf)
    if np.array_equal(law, np.eye(len(law))):
        return f
    top = f.max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    total = np.exp(f - top) @ law.T
    with np.errstate(divide="ignore"):
        result = top + np.log(total)
        far = (total < TINY).any(axis=-1)
        # an image that shows a background which training hardly ever shows with the class
        if far.any():
            result[far] = np.logaddexp.reduce(np.log(law) + f[far][..., None, :], axis=-1)
    return result


def class_log_density(
    image: Float[np.ndarray, "... l"] | None, text: Float[np.ndarray, "... l"] | None, world: World
) -> Float[np.ndarray, "... K"]:
    """log p(x_I, x_T | y) for every class y under the training law; of one view alone where the
    other is None.

    With a table, whose classes have priors, it is log p(x_I, x_T, y).
    """
    total = np.zeros(())
    for b, place in enumerate(world.block_latents):
        x = None if image is None else image[..., place]
        t = None if text is None else text[..., place]
        total = total + given_label(block_log_density(x, t, world, b), block_law(world, b))
    return total


def log_density(
    image: Float[np.ndarray, "... l"] | None, text: Float[np.ndarray, "... l"] | None, world: World
) -> Float[np.ndarray, "..."]:
    """log p(x_I, x_T) under the training law; of one view alone where the other is None."""
    prior = -np.log(world.class_count) if world.table is None else 0.0
    return np.asarray(np.logaddexp.reduce(class_log_density(image, text, world), axis=-1) + prior)


class DensityParts(NamedTuple):
    """Log densities given the class: the part that differs between prompts, and the part that all
    prompts share.

    In a comparison of whole densities, rounding would lose `distinct` where silence explains the
    image better than any prompt, for instance far out at small nu.
    """

    distinct: Float[np.ndarray, "... K"]
    shared: Float[np.ndarray, "... K"]


def prompt_parts(image, text, world: World, b: int, differs: bool) -> DensityParts:
    """DensityParts of one block, in which prompts differ or not, its class summed out."""
    silent, mention = block_parts(image, text, world, b)
    parts = (
        (mention, silent)
        if differs
        else (np.full_like(mention, -np.inf), np.logaddexp(silent, mention))
    )
    return DensityParts(*(given_label(part, block_law(world, b)) for part in parts))


def combine(first: DensityParts, second: DensityParts) -> DensityParts:
    """Both parts of two blocks together, independent given the class."""
    joined = first.distinct + np.logaddexp(second.distinct, second.shared)
    return DensityParts(
        np.logaddexp(joined, first.shared + second.distinct), first.shared + second.shared
    )


def prompt_scores(
    image: Float[np.ndarray, "... l"], texts: Float[np.ndarray, "P l"], world: World
) -> Float[np.ndarray, "... P"]:
    """Scores in the order of log p(x_I, p_y)/p(p_y) of one world, kept where rounding would lose
    it.

    Let c(x_I) be what all prompts share of p(x_I, p_y), and d_y(x_I) the rest. Without a table
    p(p_y) is the same for all y, and the score is log d_y; -inf if nothing differs.

    With a table, captions that are silent wherever prompts differ contribute c(x_I) e^h_y. Let l_y
    = h_y - log p(p_y), with the maximum m. The score is the logarithm of
        d_y/p(p_y) - c (e^m - e^l_y),
    and -inf below 0. Where all prompts are alike, as in symmetric tables, d_y decides, however
    small it is beside c.
    """
    blocks = list(enumerate(world.block_latents))
    differ = [bool((texts[:, place] != texts[0, place]).any()) for _, place in blocks]
    # along the images arithmetic is faster
    first = texts.reshape(len(texts), *[1] * (image.ndim - 1), -1)
    parts = [
        prompt_parts(image[..., place], first[..., place], world, b, differ[b])
        for b, place in blocks
    ]
    distinct = np.moveaxis(
        reduce(np.logaddexp, np.moveaxis(reduce(combine, parts).distinct, -1, 0)), 0, -1
    )
    if world.table is None:
        return distinct - np.log(world.class_count)
    prior = log_density(None, texts, world)
    distinct = distinct - prior
    if not world.caption_kinds.silence.any():
        return distinct
    log_c = np.zeros(())
    lead = -prior
    for b, place in blocks:
        if differ[b]:
            log_c = log_c + given_label(
                block_log_density(image[..., place], None, world, b), block_law(world, b)
            )
            lead = lead + _log_silence(texts[:, place], world, b)
        else:
            log_c = log_c + parts[b].shared[0]
    if lead.max() == -np.inf:
        return distinct
    behind = np.where(lead > lead.max() - SAME, 0.0, np.expm1(lead - lead.max()))
    top = distinct.max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    common = np.exp(
        np.minimum(np.logaddexp.reduce(log_c, axis=-1)[..., None] + lead.max() - top, 700)
    )
    with np.errstate(divide="ignore"):
        rest = np.log(np.maximum(np.exp(distinct - top) + behind * common, 0)) + top
    return np.where(behind == 0, distinct, rest)
