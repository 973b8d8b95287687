"""Log densities of views on the l-dimensional latent subspace, where all information about the label lies.

Given the label y the blocks are independent, and a caption mask acts on one block, so the sum over all groups and mask
patterns factorises:
    log p(x_I, x_T) = LSE_y [ -log K + sum_b T_b(y) ],
    T_b(y) = log( p_b e^{f_b(y)} + (1 - p_b)/(K - 1) sum_{a != y} e^{f_b(a)} ),   T_0 = f_0 where p_inv = 1,
    f_b(a) = log sum_{m in {0, 1}} P(m) prod_k N2((x_I,k , x_T,k); mean (1, m) mu_{b,k}(a), cov),
    cov = [[sigma^2 + nu_I, m g sigma^2], [m g sigma^2, m sigma^2 + nu_T]], g the block's detail,
with LSE = log-sum-exp, P(m = 1) the mention, mu_{b,k}(a) = +-mu_b (two classes, one number per block) or mu_b 1[k = a]
(K classes, K numbers). Dropping x_T leaves the law of x_I. Natural logarithms (nats). Coordinates orthogonal to the
dictionaries are independent noise and cancel from every decision. This is the law of captions that are not bare; a bare
caption is an atom of its own, and leaves their decisions alone.
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from simulator.world import World

SAME = 1e-9  # difference of logarithms that would be equal without rounding
TINY = 1e-290  # sums of exponentials below it have lost digits


def class_patterns(agreement: Float[np.ndarray, " J"], K: int) -> tuple[Int[np.ndarray, "P J"], np.ndarray]:
    """Patterns in which J attributes coincide with the label and each other, and their probabilities.

    The label is class 0; other classes are numbered in order of appearance, so that K = 50 has as few patterns as
    K = 7.
    """
    patterns: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    for p in agreement:
        grown: list[tuple[tuple[int, ...], float]] = []
        for pattern, weight in patterns:
            seen = max(pattern, default=0)
            other = weight * (1 - p) / (K - 1)
            grown.append(((*pattern, 0), weight * p))
            grown += [((*pattern, c), other) for c in range(1, seen + 1)]
            if seen < K - 1:
                grown.append(((*pattern, seen + 1), other * (K - 1 - seen)))
        patterns = grown
    codes, weights = zip(*patterns, strict=True)
    return np.array(codes, dtype=np.int64).reshape(len(codes), len(agreement)), np.array(weights)


def image_patterns(world: World) -> tuple[Int[np.ndarray, "P B"], Float[np.ndarray, "2 P"]]:
    """Patterns of classes that test images of class 0 show, and their shares of common and counter images."""
    K = world.class_count
    uniform = np.full(len(world.mean) - 1, 1 / K)  # under the test law; the object keeps its law
    codes, weights = class_patterns(np.append(world.agreement[0], uniform), K)
    codes, weights = codes[weights > 0], weights[weights > 0]
    common = codes[:, 1] == 0
    return codes, np.stack([common, ~common]) * weights / [[1 / K], [1 - 1 / K]]


def block_log_density(
    image: Float[np.ndarray, "... width"], text: Float[np.ndarray, "... width"] | None, worlds: World, b: int
) -> Float[np.ndarray, "... K"]:
    """f_b(a) for every class a of block b; with text None, the log density of the image alone.

    Densities must exist: sigma^2 + nu_I > 0. A text that may mention the block also needs nu_I > 0 or detail < 1, and
    nu_T > 0 or sigma > 0. At nu_T = 0 silence is an atom at 0: a nonzero text mentions the block, and a zero text is
    silent if captions may be.
    """
    if text is not None:
        return np.logaddexp(*block_parts(image, text, worlds, b))
    S = worlds.image_variance[..., b]
    base, tilt = _gaussian(image, worlds.mean[..., b], S)
    return base[..., None] + tilt


def block_parts(
    image: Float[np.ndarray, "... width"], text: Float[np.ndarray, "... width"], worlds: World, b: int
) -> tuple[Float[np.ndarray, "... K"], Float[np.ndarray, "... K"]]:
    """The two terms of f_b(a): the caption is silent on the block, or mentions it; their log-sum-exp is f_b(a)."""
    mu, pi, nu_T = worlds.mean[..., b], worlds.mention[..., b], worlds.nu_text
    shared, alone = worlds.shared[..., b], (worlds.image_alone[..., b], worlds.caption_alone[..., b])
    base, tilt = _paired_gaussian(image, text, mu, shared, *alone)
    if np.all(pi == 1):  # full captions, the common case, at half the cost
        mentioned = base[..., None] + tilt
        return np.full_like(mentioned, -np.inf), mentioned
    silent = np.asarray(nu_T == 0) & (text == 0).all(-1) & (pi < 1)
    with np.errstate(divide="ignore"):
        said = np.where(silent, -np.inf, np.log(pi) + base)
    imaged = block_log_density(image, None, worlds, b)
    return _log_silence(text, worlds, b)[..., None] + imaged, said[..., None] + tilt


def _log_silence(text: np.ndarray, worlds: World, b: int) -> np.ndarray:
    """log p(silent, x_T) of one block; without noise a text is exactly 0 if and only if it is silent."""
    mu, pi, nu_T = worlds.mean[..., b], worlds.mention[..., b], worlds.nu_text
    atom = np.asarray(nu_T == 0)
    silence = np.where(atom, 0.0, _gaussian(text, np.zeros_like(mu), np.where(atom, 1.0, nu_T))[0])
    with np.errstate(divide="ignore"):
        return np.where(atom & ((text != 0).any(-1) | (pi == 1)), -np.inf, np.log1p(-pi) + silence)


def _gaussian(x: np.ndarray, mu, S):
    """Log density at mean zero, and the term that each class's mean adds."""
    base = -0.5 * ((x**2).sum(-1) / S + x.shape[-1] * np.log(2 * np.pi * S))
    return base, _per_class((mu / S)[..., None] * x, -(mu**2) / (2 * S))


def _paired_gaussian(x: np.ndarray, t: np.ndarray, mu, variance, nu_I, nu_T):
    """`_gaussian` for both views of a mentioned block, from the variances that they share and that each has alone.

    Determinant and quadratic form are written as sums of squares: in the form S_I S_T - sigma^4 they would cancel
    as nu -> 0.
    """
    determinant = variance * (nu_I + nu_T) + nu_I * nu_T
    square = variance * ((x - t) ** 2).sum(-1) + nu_T * (x**2).sum(-1) + nu_I * (t**2).sum(-1)
    base = -0.5 * (square / determinant + x.shape[-1] * np.log(4 * np.pi**2 * determinant))
    pull = (mu / determinant)[..., None] * (nu_T[..., None] * x + nu_I[..., None] * t)
    return base, _per_class(pull, -(mu**2) * (nu_I + nu_T) / (2 * determinant))


def _per_class(pull: np.ndarray, constant) -> np.ndarray:
    """(..., K): `pull` of the class's own coordinate, or +-pull of two classes' one coordinate, plus a constant."""
    if pull.shape[-1] == 1:
        pull = np.concatenate([pull, -pull], axis=-1)
    return pull + constant[..., None]


def attribute_log_density(f: Float[np.ndarray, "... K"], agreement) -> Float[np.ndarray, "... K"]:
    """T(y): the block's class summed out given the label, from f(a) of that block."""
    K = f.shape[-1]
    if np.all(agreement == 1):
        return f
    if np.all(agreement == 1 / K):  # equal for all labels, to the last bit
        return np.broadcast_to(np.logaddexp.reduce(f, axis=-1, keepdims=True) - np.log(K), f.shape)
    with np.errstate(divide="ignore"):
        same, other = np.log(agreement)[..., None], np.log1p(-agreement)[..., None] - np.log(K - 1)
    return np.logaddexp(same + f, other + log_sum_of_others(f))


def log_sum_of_others(f: Float[np.ndarray, "... K"]) -> Float[np.ndarray, "... K"]:
    """LSE over a != y for every y, from running sums on either side: total minus own term would cancel."""
    if f.shape[-1] == 2:
        return f[..., ::-1]
    none = np.full_like(f[..., :1], -np.inf)
    before = np.logaddexp.accumulate(f[..., :-1], axis=-1)
    after = np.logaddexp.accumulate(f[..., :0:-1], axis=-1)[..., ::-1]
    return np.logaddexp(np.concatenate([none, before], -1), np.concatenate([after, none], -1))


def captions_as_images(worlds: World) -> World:
    """Worlds whose images have the law of these worlds' full captions; only the noise differs."""
    return worlds.replace(sigma_xi=worlds.text_noise, dim_image=worlds.dim_text)


def class_log_density(
    image: Float[np.ndarray, "... B width"], text: Float[np.ndarray, "... B width"] | None, worlds: World
) -> Float[np.ndarray, "... K"]:
    """log p(x_I, x_T | y), or log p(x_I | y) with text None, for every class y under the training law."""
    total = np.zeros(())
    for b in range(image.shape[-2]):
        f = block_log_density(image[..., b, :], None if text is None else text[..., b, :], worlds, b)
        total = total + attribute_log_density(f, worlds.agreement[..., b])
    return total


def log_density(
    image: Float[np.ndarray, "... B width"], text: Float[np.ndarray, "... B width"] | None, worlds: World
) -> Float[np.ndarray, "..."]:
    """log p(x_I, x_T), or log p(x_I) with text None, under the training law."""
    given_class = class_log_density(image, text, worlds)
    return np.asarray(np.logaddexp.reduce(given_class, axis=-1) - np.log(worlds.class_count))


def caption_block_log_density(
    text: Float[np.ndarray, "... width"], worlds: World, b: int
) -> Float[np.ndarray, "... K"]:
    """log p(x_T | a) of one block of one world; a mentioned block is like an image with the captions' noise."""
    pi, nu = worlds.mention[b], worlds.nu_text
    mentioned = block_log_density(text, None, captions_as_images(worlds), b)
    if pi == 1:
        return mentioned
    square = (text**2).sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        said = np.log(pi) + mentioned
        if nu == 0:
            return np.where(square == 0, np.log1p(-pi), said)
        return np.logaddexp(said, np.log1p(-pi) - (square / nu + text.shape[-1] * np.log(2 * np.pi * nu)) / 2)


def table_evidence(f: Float[np.ndarray, "... A"], table) -> Float[np.ndarray, "... K"]:
    """log sum_a P(y, a) e^f(a), from a table of joint probabilities and f(a) of the background's block."""
    weights, top = np.asarray(table), f.max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    total = np.exp(f - top) @ weights.T
    with np.errstate(divide="ignore"):
        result, far = top + np.log(total), (total < TINY).any(axis=-1)
        if far.any():  # an image that shows a background which training hardly ever shows with the class
            result[far] = np.logaddexp.reduce(np.log(weights) + f[far][..., None, :], axis=-1)
    return result


def table_log_density(image: Float[np.ndarray, "... l"], world: World) -> Float[np.ndarray, "... K"]:
    """log p(x_I, y) in a world with a table."""
    return _with_label(image, world, lambda x, worlds, b: block_log_density(x, None, worlds, b))


def table_caption_log_density(text: Float[np.ndarray, "... l"], world: World) -> Float[np.ndarray, "..."]:
    """log p(x_T) in a world with a table."""
    return np.asarray(np.logaddexp.reduce(_with_label(text, world, caption_block_log_density), axis=-1))


def _with_label(view: Float[np.ndarray, "... l"], world: World, density: Callable) -> Float[np.ndarray, "... K"]:
    """log p(view, y) from the densities of both blocks given the class that they show."""
    total = np.zeros(())
    for b, (part, summed) in enumerate(_blocks(world)):
        total = total + summed(density(view[..., part], world, b))
    return total


def _blocks(world: World) -> list[tuple[slice, Callable[[np.ndarray], np.ndarray]]]:
    """The latents of object and background, and how their classes are summed out given the label, with a table."""
    background = world.background_latents
    return [
        (slice(0, background.start), lambda f: attribute_log_density(f, world.p_inv)),
        (background, lambda f: table_evidence(f, world.table)),
    ]


class Parts(NamedTuple):
    """Log densities given the class: the part that differs between prompts, and the part that all prompts share.

    In a comparison of whole densities, rounding would lose `distinct` where silence explains the image better than any
    prompt, for instance far out at small nu.
    """

    distinct: Float[np.ndarray, "... K"]
    shared: Float[np.ndarray, "... K"]


def prompt_parts(image, text, worlds: World, b: int, differs) -> Parts:
    """Parts of one block, its attribute summed out."""
    silent, mentioned = block_parts(image, text, worlds, b)
    differs = np.asarray(differs)[..., None]
    parts = Parts(np.where(differs, mentioned, -np.inf), np.where(differs, silent, np.logaddexp(silent, mentioned)))
    return Parts(*(attribute_log_density(part, worlds.agreement[..., b]) for part in parts))


def distinct_together(first: Parts, second: Parts) -> Float[np.ndarray, "... K"]:
    """`distinct` of two blocks together, independent given the class."""
    distinct = first.distinct + np.logaddexp(second.distinct, second.shared)
    if np.any(first.shared > -np.inf) and np.any(second.distinct > -np.inf):
        distinct = np.logaddexp(distinct, first.shared + second.distinct)
    return distinct


def combine(first: Parts, second: Parts) -> Parts:
    """Both parts of two blocks together."""
    return Parts(distinct_together(first, second), first.shared + second.shared)


def prompt_log_density(
    image: Float[np.ndarray, "... B width"], texts: Float[np.ndarray, "P B width"], worlds: World
) -> Float[np.ndarray, "... P"]:
    """log(p(x_I, p_y) - c(x_I)) of every prompt of one world, c being what all prompts share; -inf if nothing differs.

    Its order over prompts is the order of log p(x_I, p_y), kept where rounding would lose it (see `Parts`).
    """
    differs = (texts != texts[:1]).any(axis=(0, 2))
    parts = [prompt_parts(image[..., None, b, :], texts[:, b], worlds, b, differs[b]) for b in range(texts.shape[1])]
    return np.logaddexp.reduce(reduce(combine, parts).distinct, axis=-1) - np.log(worlds.class_count)


def table_prompt_scores(
    image: Float[np.ndarray, "N l"], texts: Float[np.ndarray, "P l"], world: World
) -> Float[np.ndarray, "N P"]:
    """Scores in the order of log p(x_I, p_y)/p(p_y), in a world with a table, kept where rounding would lose it.

    Captions that are silent wherever prompts differ contribute c(x_I) e^h_y, and all others d_y(x_I). Let l_y = h_y -
    log p(p_y), with the maximum m. The score is the logarithm of
        d_y/p(p_y) - c (e^m - e^l_y),
    and -inf below 0. Where all prompts are alike, as in symmetric tables, d_y decides, however small it is beside c.
    """
    prior = table_caption_log_density(texts, world)
    if np.all(world.mention == 1):  # no caption is silent
        pairs = ((b, image[:, None, part], texts[:, part], summed) for b, (part, summed) in enumerate(_blocks(world)))
        first, second = (summed(block_parts(x, text, world, b)[1]) for b, x, text, summed in pairs)
        return np.logaddexp.reduce(first + second, axis=-1) - prior
    parts, seen, hidden = [], np.zeros(()), np.zeros(len(texts))
    for b, (part, summed) in enumerate(_blocks(world)):
        text = texts[:, part]
        silent, mentioned = block_parts(image[:, None, part], text, world, b)
        if (text != text[0]).any():
            said = summed(mentioned)
            parts.append(Parts(said, summed(silent) if world.mention[b] < 1 else np.full_like(said, -np.inf)))
            seen = seen + summed(block_log_density(image[:, part], None, world, b))
            hidden = hidden + _log_silence(text, world, b)
        else:
            either = summed(np.logaddexp(silent, mentioned))
            parts.append(Parts(np.full_like(either, -np.inf), either))
            seen = seen + either[:, 0]
    distinct = np.logaddexp.reduce(distinct_together(*parts), axis=-1) - prior
    lead = hidden - prior
    if lead.max() == -np.inf:
        return distinct
    behind = np.where(lead > lead.max() - SAME, 0.0, np.expm1(lead - lead.max()))
    top = distinct.max(axis=1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    common = np.exp(np.minimum(np.logaddexp.reduce(seen, axis=-1)[:, None] + lead.max() - top, 700))
    with np.errstate(divide="ignore"):
        rest = np.log(np.maximum(np.exp(distinct - top) + behind * common, 0)) + top
    return np.where(behind == 0, distinct, rest)
