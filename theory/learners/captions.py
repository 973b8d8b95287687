"""The InfoNCE optimum with all captions of a class as prompts, t ~ p(t | y).

captions   The score is log E_{t|y} e^PMI = log E_{t|y} p(x | t)/p(x). By Bayes' rule p(t | y)/p(t)
           = p(y | t)/p(y), so it equals log E[p(y | t) | x] + const: the mean posterior of the
           label over captions of the image. If captions mention everything without noise, y and x
           are independent given t, and this is the Bayes rule of the training law on images (T9).
           Mehta and Harchaoui (ICML 2025, arXiv 2507.09128) study what prompts lose against Bayes'
           rule.
scores     The score is E_{t|y} PMI(x, t), that is E_{t|y} log p(x, t). If a share eps of the
           captions belongs to other pairs, it is E_{t|y} log((1 - eps) p(x, t)/(p(x) p(t)) + eps).
           If captions mention everything without noise, the nearest average caption wins, a linear
           rule (T9).

A bare caption tells the label alone: its e^PMI is p(x | y)/p(x). If a share b of the captions is
bare, the scores are
    captions   log[(1 - b) E_told p(y | t) + b p(y | x)],
    scores     (1 - b) E_told PMI + b log p(x | y)/p(x),
E_told over the captions that are not bare. As b grows to 1 both become the Bayes rule.

Two classes and one attribute, with v_b = log(p(t_b | +)/p(t_b | -))/2 and w_b = log(p(x_b, t_b |
+)/p(x_b, t_b | -))/2: the preference for + is
    captions   E[tanh(v_0 + v_1) | x],
    scores     (E_{t|+} - E_{t|-}) [sum_b log(p(x_b, t_b | +) p(x_b, t_b | -))/2 + log cosh(w_0 +
               w_1)].
Blocks of t are independent given y, or given x and the classes that both blocks show. So it follows
from the law of each v_b, or w_b, on a line of nodes. Its sign on a grid of images gives the
accuracies.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, softmax

from simulator.accuracy import LEVEL, Accuracy, objects_averaged, rounded, won
from simulator.gaussian.critic import gaussian_points
from simulator.prompts import Prompt
from simulator.world import World
from theory.accuracy import linear_accuracy
from theory.density import block_law, block_log_density, class_log_density, given_label, log_density
from theory.integrator import plane_shares
from theory.learners.base import check_classes, joined, sampled, world_by_world
from theory.learners.bayes import bayes_accuracy
from theory.quadrature import estimate
from theory.theorems import mismatched_pmi

WITHIN = 6.5  # standard deviations of captions and of images: 8e-11 lie beyond
# distance of nodes, in standard deviations
IMAGE_STEP = 1 / 8
CAPTION_STEP = 1 / 8
# distance of nodes of evidence, in nats, and their number on each side of 0
EVIDENCE_STEP = 1 / 16
MOST_NODES = 300
SATURATED = 18.0  # 1 - tanh(18) = 5e-16
LINE = 256  # nodes of each coordinate between which scores are interpolated
ROUNDING = 2e-6  # of accuracies on a grid, where a coarser one happens to agree

IMAGES = 2**10  # drawn per replicate and group,
MOST = 2**12  # or fewer: these images times what one of them costs
CAPTIONS = 256  # drawn per image, or per class
PAIRS = 2**23  # density terms over all images and captions
LARGEST_CLASSES = 10
CELLS = 2**20  # numbers held in one array at a time

SIGNS = np.array([1.0, -1.0])


def all_captions_accuracy(worlds: World, prompt: Prompt) -> Accuracy:
    """Group accuracies of the PMI critic with all captions of a class as prompts, not all bare; a
    tie counts 1/K.

    Closed forms where captions are the latents themselves (for "scores" if no caption is bare),
    else from grids of images and captions where `_on_grids` and no `_strays`, else drawn. Grids and
    draws have intervals.
    """
    routes = [
        lambda part: (
            bayes_accuracy(part)
            if prompt == "captions"
            else linear_accuracy(part.prompt("mean"), part)
        ),
        lambda part: world_by_world(lambda world: gridded_accuracy(world, prompt), part),
        lambda part: world_by_world(lambda world: drawn_accuracy(world, prompt), part),
    ]
    strays = _strays(worlds, prompt)
    latents = (worlds.caption_kinds.always_told & (worlds.variances().caption == 0)).all(
        axis=-1
    ) & ~strays
    latents &= (np.asarray(worlds.bare) == 0) | (prompt == "captions")
    route = np.where(latents, 0, np.where(strays | ~_on_grids(worlds), 2, 1))
    return joined(
        [(route == k, routes[k](worlds[route == k])) for k in np.unique(route)], worlds.shape
    )


def all_captions_scores(
    world: World, prompt: Prompt, image: Float[np.ndarray, "N l"]
) -> np.ndarray:
    """Scores (N, K) with the decisions of all captions: half the preference, interpolated, or drawn
    ones.
    """
    if _strays(world, prompt) or not _on_grids(world):
        return drawn_scores(world, prompt, image).mean(axis=0)
    from scipy.interpolate import RectBivariateSpline  # start-up time

    lines = [end * np.linspace(-1, 1, LINE) for end in np.abs(image).max(axis=0, initial=1e-9)]
    g = RectBivariateSpline(*lines, preferences(world, prompt, *lines)).ev(*image.T)
    return np.stack([g, -g], axis=-1) / 2


def _on_grids(worlds: World) -> np.ndarray | np.bool:
    return (
        np.equal(worlds.classes, 2)
        & (worlds.mean.shape[-1] == 2)
        & worlds.caption_kinds.plainly_told
    )


def _strays(worlds: World, prompt: Prompt) -> np.ndarray:
    """Whether captions of other pairs change decisions."""
    return np.broadcast_to((np.asarray(worlds.mismatch) > 0) & (prompt == "scores"), worlds.shape)


def gridded_accuracy(world: World, prompt: Prompt) -> Accuracy:
    """Group accuracies from splines of the preference; the interval is twice what nodes at double
    distances change.
    """
    fine = _splined_accuracy(world, prompt, 1)
    rough = _splined_accuracy(world, prompt, 2)
    change = 2 * np.abs(fine - rough).max() + ROUNDING
    return Accuracy.of([*fine], LEVEL, [(max(a - change, 0.0), min(a + change, 1.0)) for a in fine])


def _splined_accuracy(world: World, prompt: Prompt, coarse: float) -> Float[np.ndarray, "groups=2"]:
    from scipy.interpolate import RectBivariateSpline  # start-up time

    u = np.arange(-WITHIN, WITHIN + 1e-9, coarse * IMAGE_STEP)
    s = np.sqrt(world.image_variance)
    x, *y = (
        mean + s[b] * u
        for b, mean in zip((0, 1, 1), world.mean[[0, 1, 1]] * [1, 1, -1], strict=True)
    )
    g = preferences(world, prompt, x, np.concatenate(y), coarse)
    # sums of logarithms of about 1, beside which smaller means are rounding errors
    if prompt == "scores":
        g = rounded(g, 1.0)
    halves = np.split(g, 2, axis=1)  # of both groups, about their means
    shares = [
        plane_shares(RectBivariateSpline(u, u, half).ev, np.zeros((2, 1)))[0] for half in halves
    ]
    return objects_averaged(np.array(shares), world.agreement[0])


def preferences(world: World, prompt: Prompt, x, y, coarse: float = 1) -> Float[np.ndarray, "n m"]:
    """The preference for + at the images (x, y) of a grid, in one world of two classes and one
    attribute.
    """
    value = _preferences_of_told(world, prompt, x, y, coarse)
    if world.bare == 0:
        return value
    images = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
    plus, minus = np.moveaxis(bare_log_score(world, images), -1, 0)
    by_name = np.tanh((plus - minus) / 2) if prompt == "captions" else plus - minus
    return (1 - world.bare) * value + world.bare * by_name


def bare_log_score(world: World, images: Float[np.ndarray, "*s l"]) -> Float[np.ndarray, "*s K"]:
    """log p(x | bare caption of y), up to what classes share. At mu_inv = 0 bare captions of all
    classes are alike.
    """
    score = class_log_density(images, None, world)
    return score if world.mu_inv else np.zeros_like(score)


def _preferences_of_told(
    world: World, prompt: Prompt, x, y, coarse: float
) -> Float[np.ndarray, "n m"]:
    """The preference by the captions that are not bare."""
    # captions of both classes are alike
    if not (world.mean * world.correlation * world.caption_kinds.moment()).any():
        return np.zeros((len(x), len(y)))
    (v, rows, own, odds), (w, columns, other, more) = (
        _side(world, b, prompt, line[:, None], coarse) for b, line in enumerate((x, y))
    )
    ends = np.abs(v).max(), np.abs(w).max()
    if prompt == "captions":
        ends = np.minimum(ends, min(ends) + SATURATED)
    rows, nodes = _on_nodes(v, rows, ends[0], coarse)
    columns, others = _on_nodes(w, columns, ends[1], coarse)
    z = nodes[:, None] + others
    if prompt == "scores":
        f = np.logaddexp(z, -z) - np.log(2)
        d, m = (rows[0] - rows[1], rows[0] + rows[1])
        e, n = (columns[0] - columns[1], columns[0] + columns[1])
        return own[:, None] + other + (d @ f @ n.T + m @ f @ e.T) / 2
    # (class shown, class shown, image, image)
    mean = rows[:, None] @ np.tanh(z) @ columns.swapaxes(1, 2)
    c = SIGNS[:, None, None]
    with np.errstate(divide="ignore"):
        law = np.log(block_law(world, 0).T @ block_law(world, 1))[..., None, None]
    posterior = law + c[..., None] * odds + c * more.T
    posterior = np.exp(posterior - posterior.max(axis=(0, 1)))
    return (posterior * mean).sum(axis=(0, 1)) / posterior.sum(axis=(0, 1))


def _side(world: World, b: int, prompt: Prompt, x: Float[np.ndarray, "n 1"], coarse: float):
    """What block b contributes at its coordinates x of images: evidence, weights, own part of the
    score, log odds of x.

    captions   v at captions of every image (image, caption), and weights (class shown, image,
               caption)
    scores     w at captions of both labels, and weights (label, image, caption)
    """
    mu = world.mean[b]
    pi = world.caption_kinds.moment()[b]
    v, alone, caption_alone = (each[b] for each in world.variances())
    S = v + alone
    h = v / (v + alone)
    given_image = prompt == "captions"
    z = np.arange(-WITHIN, WITHIN + 1e-9, coarse * CAPTION_STEP)
    means = SIGNS * mu + (h * (x - SIGNS * mu) if given_image else 0 * x)
    mentions = means[..., None] + np.sqrt((h * alone if given_image else v) + caption_alone) * z
    mentions[mentions == 0] = np.finfo(float).tiny  # in captions without noise 0 is silence
    t = np.concatenate([mentions[:, 0], mentions[:, 1], np.sqrt(world.nu_text) * z + 0 * x], axis=1)
    # + mentioned, - mentioned, silent
    chance = np.exp(-(z**2) / 2)
    says = np.repeat(np.eye(3), len(z), axis=1)
    weight = (says[:2] * pi + says[2] * (1 - pi)) * np.tile(chance / chance.sum(), 3)
    told = weight.any(axis=0)
    t = t[:, told, None]
    weight = weight[:, told]
    law = block_law(world, b)
    density = given_label(
        block_log_density(None if given_image else x[..., None], t, world, b), law
    )
    plus, minus = np.moveaxis(density, -1, 0)
    weight = weight if given_image else law @ weight
    return (plus - minus) / 2, weight, (plus + minus) / 2 @ (weight[0] - weight[1]), x * mu / S


def _on_nodes(
    v: Float[np.ndarray, "n t"], weight: Float[np.ndarray, "2 t"], end: float, coarse: float
):
    """The weights (row, image, node) moved to nodes of v by cubic interpolation, and the nodes."""
    half = int(np.clip(np.ceil(end / (coarse * EVIDENCE_STEP)), 8, MOST_NODES // coarse))
    size = 2 * half + 6
    step = (end or 1.0) / half
    place = np.clip(v / step, -half, half) + half + 2
    cell = place.astype(int)
    f = place - cell
    start = cell + size * np.arange(len(v))[:, None]
    g = 1 - f
    near = f * (1 - f) / 2
    far = (1 + f) * (2 - f) / 2
    rows = np.zeros((2, len(v) * size))
    for k, share in enumerate((-near * (2 - f) / 3, far * g, far * f, -near * (1 + f) / 3)):
        for row, own in zip(rows, weight, strict=True):
            row += np.bincount((start + k - 1).ravel(), (share * own).ravel(), row.size)
    return rows.reshape(2, len(v), size), (np.arange(size) - half - 2) * step


def drawn_accuracy(world: World, prompt: Prompt, seed: int = 0) -> Accuracy:
    """Group accuracies of one world by drawn images and captions, with an interval.

    Finitely many captions blur the boundary, a bias of order 1/CAPTIONS or less. Half of them are
    off by at least as much again. So the truth lies between the accuracy of all captions and as far
    beyond as half of them are off. The estimate is the middle of that range. The interval adds the
    range to the t interval over replicates.
    """
    others = (
        "more are possible with the prompts name, mean and background, and with full captions"
        " without noise"
    )
    check_classes(world, f"all captions of a class are drawn; {others}", LARGEST_CLASSES)

    def right(images: np.ndarray, labels: np.ndarray, replicate: int) -> Float[np.ndarray, "3 N"]:
        """By either half of the captions and by all."""
        halves = drawn_scores(world, prompt, images, replicate)
        return np.array([won(score, labels) for score in (*halves, halves.mean(axis=0))])

    cost = world.classes * (world.classes if prompt == "scores" else 2)
    power = int(np.log2(np.clip(MOST / cost, 32, IMAGES)))
    first, second, whole = np.moveaxis(sampled(right, world, power, seed), 1, 0)
    half = (first + second) / 2
    value = estimate(np.clip(whole + (whole - half) / 2, 0.0, 1.0))
    more = np.abs((whole - half).mean(axis=0)) / 2
    assert value.interval is not None
    ends = [
        np.clip([low - d, high + d], 0, 1)
        for (low, high), d in zip(value.interval, more, strict=True)
    ]
    return Accuracy.of([*value], LEVEL, map(tuple, ends))


def drawn_scores(
    world: World, prompt: Prompt, image: Float[np.ndarray, "N l"], seed: int = 0
) -> Float[np.ndarray, "2 N K"]:
    """Scores by either half of drawn captions, each a net of Sobol points.

    captions   E[p(y | t) | x] over captions of every image: captions of a class rarely lie near an
               image
    scores     the mean of log p(x, t) over captions of class 0. Those of other classes are the
               same, relabelled, so that what all classes share has no sampling error

    Bare captions are not drawn: every class has one.
    """
    K = world.class_count
    each = max(1, CELLS // (CAPTIONS * world.classes**2))
    if prompt == "scores":
        power = int(np.log2(np.clip(PAIRS / (IMAGES * K * K), 32, CAPTIONS)))
        first = _drawn_captions(world, None, power, seed)[0]
        blocks = first.reshape(len(first), len(world.mean), -1)
        turned = [blocks, -blocks] if K == 2 else [np.roll(blocks, y, axis=-1) for y in range(K)]
        texts = np.reshape(turned, (K, *first.shape))
        alone = log_density(None, first, world)  # alike for all classes

    def score(x: Float[np.ndarray, "N l"]) -> Float[np.ndarray, "2 N K"]:
        by_name = bare_log_score(world, x)
        if prompt == "captions":
            density = class_log_density(
                None, _drawn_captions(world, x, CAPTIONS.bit_length() - 1, seed), world
            )
            value = softmax(density, axis=-1).swapaxes(1, 2)
            by_name = softmax(by_name, axis=-1)
        else:
            value = log_density(x[:, None, None], texts, world)
            if world.mismatch > 0:
                own = log_density(x, None, world)
                value = mismatched_pmi(value - own[:, None, None] - alone, world.mismatch)
                # PMI 0
                by_name = mismatched_pmi(
                    by_name - own[:, None] if world.mu_inv else by_name, world.mismatch
                )
        vote = np.stack([half.mean(axis=-1) for half in np.split(value, 2, axis=-1)])
        return (1 - world.bare) * vote + world.bare * by_name if world.bare else vote

    return np.concatenate(
        [score(image[start : start + each]) for start in range(0, len(image), each)], axis=1
    )


def _drawn_captions(world: World, image, power: int, seed: int) -> Float[np.ndarray, "N count l"]:
    """2^power captions of each image, or of class 0 if there is no image, from the same Sobol
    points.
    """
    K = world.class_count
    B = len(world.mean)
    means = world.prompts("background").reshape(K, B, -1)
    width = means.shape[-1]
    points = gaussian_points(1 + B * (2 + width), power, np.random.default_rng((seed, 1)))
    chance = ndtr(points[:, : 1 + 2 * B])
    normals = points[:, 1 + 2 * B :].reshape(-1, B, width)
    h = np.zeros(B)
    own_variance = world.scale**2
    y = np.zeros((1, len(points)), int)
    if image is not None:
        shared, n_I, n_T = world.variances()
        h = shared / (shared + n_I)
        own_variance = h * n_I + n_T - world.nu_text
        y = _drawn(class_log_density(image, None, world)[:, None], chance[:, 0])
        image = image.reshape(len(image), B, width)
    texts = np.empty((*y.shape, B, width))
    multiples = np.array([kind.multiple for kind in world.caption_kinds.every])
    for b, p in enumerate(world.agreement):
        with np.errstate(divide="ignore"):
            law = np.log(np.where(np.eye(K, dtype=bool), p, (1 - p) / (K - 1)))[y]
        if image is not None:
            law = law + block_log_density(image[:, b], None, world, b)[:, None]
        own = means[_drawn(law, chance[:, 1 + b]), b]
        mean = own if image is None else own + h[b] * (image[:, None, b] - own)
        ends = np.cumsum([kind.chance[b] for kind in world.caption_kinds.every])[:-1]
        r = multiples[np.searchsorted(ends, chance[:, 1 + B + b], "right"), None]
        texts[:, :, b] = r * mean + normals[:, b] * np.sqrt(r**2 * own_variance[b] + world.nu_text)
    return texts.reshape(*y.shape, -1)


def _drawn(log_weight: Float[np.ndarray, "... K"], uniform: Float[np.ndarray, "..."]) -> np.ndarray:
    """Classes drawn from unnormalised log weights by uniform numbers."""
    chance = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True)).cumsum(axis=-1)
    return (uniform[..., None] * chance[..., -1:] > chance).sum(axis=-1)
