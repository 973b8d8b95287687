"""Zero-shot accuracy at the optimum of InfoNCE with unrestricted towers: the pointwise mutual
information decides.

It does so by T14 of `theory.theorems`, and SigLIP's optimum decides alike. Zero-shot picks argmax_y
PMI(x_I, p_y), which is argmax_y log p(x_I, p_y): by symmetry log p(p_y) is the same for all y. All
captions of a class as prompts have pooled scores (`theory.learners.captions`); only their mean
depends on a share of captions of other pairs (T11). Prompted with a bare caption, the optimum is
the Bayes rule of the training law, for equal priors (T15).

At detail g = 1 the rule becomes the nearest prompt in latent space as the view noise nu -> 0 (at nu
= 0 the PMI is infinite), and linear CLIP as nu -> infinity. At g = 0 captions tell nothing of how
an image varies within its groups. Prompted with the typical appearance, the rule is then the Bayes
rule of the training law (p_inv = 1, equal priors).
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from simulator.accuracy import LEVEL, Accuracy, objects_averaged, won
from simulator.gaussian.critic import gaussian_points
from simulator.mixture import class_means
from simulator.naming import outside
from simulator.prompts import PROMPTS, Prompt, check_told, prompt_row
from simulator.quantities import Scale, domain_of
from simulator.world import World, narrowest
from theory.density import (
    block_law,
    block_log_density,
    given_label,
    image_patterns,
    log_density,
    prompt_scores,
)
from theory.integrator import roots
from theory.learners.base import Learner, check_classes, joined, sampled_accuracy, world_by_world
from theory.learners.bayes import Bayes
from theory.learners.captions import all_captions_accuracy, all_captions_scores, bare_log_score
from theory.learners.contour import contour_accuracy
from theory.learners.pmi import prompt_preference
from theory.learners.several_attributes import several_attributes
from theory.quadrature import RANGE, REPLICATES, estimate
from theory.unit_embeddings import INFONCE, Objective
from theory.unit_prompts import check_unit, ends, reaches, score_gap, unit_accuracy

# Distance of the contour's grid lines, in standard deviations. One boundary in a thousand needs a
# finer grid. Of 9,000 extreme worlds one had a boundary that none of these follows.
SPACINGS = (0.6, 0.45, 0.33, 0.25, 0.2, 0.12, 0.06)
JAGGED = 16  # of 2, points of a group of such a world; errors are about 5e-5
# where one pattern explains the prompts: the preference is monotone along both blocks
PLAIN_SPACING = 1.5
# densities of a group and replicate in a world with a table, one or two CPU seconds in all
TERMS = 2**19
TOLERANCE = 1e-6  # of integrals along a boundary
SCALES = domain_of(Scale)
SLACK = 1e-9  # of logarithms that may be equal
NEAR = 12  # 2^12 Sobol points per group tell the share of unseen images,
RARE = 0.01  # at which the number of pairs counts as enough


def infonce_accuracy(worlds: World, prompt: Prompt) -> Accuracy:
    """Group accuracies of argmax_y PMI(x_I, p_y) under the test law; a tie counts 1/K.

    Two classes and one attribute: quadrature over any grid of worlds, absolute error below
    TOLERANCE; sampled, with an interval, where a boundary is too jagged to be followed. Several
    attributes, K >= 3 classes or a table: REPLICATES randomised Sobol nets, world by world, with a
    95% interval. A bare name gives the Bayes rule.
    """
    each_world = partial(infonce_accuracy, prompt=prompt)
    if worlds.shape and worlds.table is not None:
        return world_by_world(each_world, worlds)
    if (bare := _pools_bare(worlds, prompt)).any():
        parts: list[tuple[np.ndarray, Prompt]] = [(bare, "bare"), (~bare, prompt)]
        each = [(part, infonce_accuracy(worlds[part], own)) for part, own in parts if part.any()]
        return joined(each, worlds.shape)
    _refuse(worlds, prompt)
    if prompt == "bare":
        return _by_bare_name(worlds, Bayes().accuracy(equal_classes(worlds)))
    if worlds.table is not None:
        return table_accuracy(worlds, prompt)
    if prompt_row(prompt).pool:
        return all_captions_accuracy(worlds, prompt)
    if np.all(np.equal(worlds.classes, 2)) and worlds.mean.shape[-1] == 2:
        return _one_attribute(worlds, prompt)
    if worlds.shape:
        return world_by_world(each_world, worlds)
    sample = several_attributes if worlds.classes == 2 else _many_classes
    return estimate(np.array([sample(worlds, prompt, seed) for seed in range(REPLICATES)]))


def _pools_bare(worlds: World, prompt: Prompt) -> np.ndarray:
    """Whether a prompt pools captions of which all are bare."""
    return np.broadcast_to(
        (np.asarray(worlds.bare) == 1) & (prompt_row(prompt).pool is not None), worlds.shape
    )


def _by_bare_name(worlds: World, accuracy: Accuracy) -> Accuracy:
    """The Bayes rule's accuracies: p(x_I | bare y) = p(x_I | y). A bare caption at mu_inv = 0 tells
    no label.
    """
    silent = np.asarray(worlds.mu_inv) == 0
    chance = 1 / np.asarray(worlds.classes)
    return accuracy.each(lambda x: np.where(silent, chance, x)) if silent.any() else accuracy


def _refuse(worlds: World, prompt: Prompt) -> None:
    """Raise ValueError for worlds in which a prompt has no PMI."""
    check_told(prompt, worlds.bare)
    if prompt == "bare":
        if np.any(np.asarray(worlds.bare) == 0):
            words = (
                "is a bare caption, and with bare = 0 no training caption is bare; any bare > 0 is"
                " valid"
            )
            raise ValueError(f"prompt = 'bare' {words}")
        return
    silent = (worlds.nu_text == 0)[..., None]
    if np.any(worlds.variances().image <= 0):
        raise ValueError(
            "sigma_xi = 0: where images have no noise, and captions tell all of a block (detail ="
            " 1), the pointwise mutual information is infinite; any sigma_xi > 0 is valid, and the"
            " limit is the nearest prompt"
        )
    if np.any(silent & (worlds.scale == 0) & (worlds.caption_kinds.silence < 1)):
        raise ValueError(
            "sigma_xi_text = 0 and a block with sigma = 0: captions take single values, and a"
            " prompt with other values has no density"
        )
    check_classes(worlds, "the InfoNCE optimum is sampled")
    if prompt_row(prompt).pool:
        if worlds.table is not None:
            raise ValueError(
                f"prompt = {prompt!r} ({prompt_row(prompt).words}) has no law in worlds with a"
                " table; choose from"
                f" {', '.join(name for name in PROMPTS if not prompt_row(name).pool)}"
            )
        return
    if worlds.table is None:
        mentions = worlds.prompt(prompt) != 0
    else:
        mentions = np.array(
            [worlds.prompts(prompt)[:, place].any() for place in worlds.block_latents]
        )
    if np.any(silent & (worlds.caption_kinds.silence == 1) & mentions):
        raise ValueError(
            f"prompt = {prompt!r} mentions a block that captions never mention, and without noise"
            " (sigma_xi_text = 0) no caption is similar; a mention above 0 is valid, and so is a"
            " prompt without this block"
        )


def table_accuracy(world: World, prompt: Prompt, seed: int = 0) -> Accuracy:
    """`infonce_accuracy` of one caption in a world with a table.

    Prompts of different classes need not be equally frequent, so that log p(p_y) counts.
    """
    power = int(np.log2(TERMS / (world.classes**2 * world.background_count)))
    return sampled_accuracy(InfoNCE(prompt), world, int(np.clip(power, 5, 14)), seed)


def _one_attribute(worlds: World, prompt: Prompt) -> Accuracy:
    """Accuracies in all worlds of a grid, along the boundary; sampled where no grid of lines
    follows it.
    """
    preference = prompt_preference(worlds, prompt)
    tie = ~np.isfinite(preference.log_weight).any(axis=(0, 1))
    accuracy = np.full((len(tie), 2), 0.5)
    left = np.flatnonzero(~tie)
    for spacing, part in (
        (PLAIN_SPACING, preference.plain),
        *((spacing, ~tie) for spacing in SPACINGS),
    ):
        batch = left[part[left]]
        if len(batch):
            accuracy[batch], sound = contour_accuracy(preference.of(batch), TOLERANCE, spacing)
            left = np.setdiff1d(left, batch[sound])
    groups = objects_averaged(accuracy.T, worlds.agreement[..., 0].ravel()).reshape(
        2, *worlds.shape
    )
    if not len(left):
        return Accuracy(*groups)
    lost = np.isin(np.arange(len(tie)), left).reshape(worlds.shape)
    rest = world_by_world(partial(sampled_accuracy, InfoNCE(prompt), power=JAGGED), worlds[lost])
    return joined([(~lost, Accuracy.of([*groups[:, ~lost]])), (lost, rest)], worlds.shape)


def _many_classes(worlds: World, prompt: Prompt, seed: int) -> list[float]:
    """(common, counter) of K >= 3 classes, on Sobol points."""
    K = worlds.class_count
    B = len(worlds.mean)
    texts = worlds.prompts(prompt).reshape(K, B, K)
    differ = (texts != texts[0]).any(axis=(0, 2))
    # of the object: above 0 if its text shows its class
    turned = (texts[0, 0, 0] - texts[0, 0, 1]) * worlds.mean[0]
    one_side = (
        turned > 0 and worlds.caption_kinds.silence[0] < 1 and worlds.caption_kinds.plainly_told
    )
    by_object = one_side and (worlds.caption_kinds.always_told.all() or not differ[1:].any())
    power = 12 if by_object else int(np.clip(np.log2(2**23 / (K * K * B)), 9, 13))
    noise = (
        gaussian_points(B * K, power, seed).reshape(-1, B, K)
        * np.sqrt(worlds.image_variance)[:, None]
    )
    total = np.zeros(2)
    codes, shares = image_patterns(K, B, float(worlds.p_inv))
    for code, share in zip(codes, shares, strict=True):
        image = noise.copy()
        image[:, np.arange(B), code] += worlds.mean
        if by_object:
            right = _chance_by_object(worlds, texts, image, code)
        else:
            right = won(prompt_scores(image.reshape(len(image), -1), texts.reshape(K, -1), worlds))
        total += share * right.mean()
    return list(total)


def _chance_by_object(
    worlds: World, texts: np.ndarray, image: Float[np.ndarray, "N B K"], code
) -> np.ndarray:
    """Probability (N,) that class 0 is decided, over its own object coordinate x_0.

    Captions mention everything, or prompts differ in the object only. Let v = g sigma^2 be the
    object's variance that image and caption share, n_I and n_T what each has alone, d = v (n_I +
    n_T) + n_I n_T, A = mu n_T/d, C = mu n_I q/d and D = v q/d, for prompts q e_y of the object, up
    to a constant. The other blocks give prompt y and class c of the object a density V_yc. Up to
    terms that all prompts share,
        p(x, p_y) = e^(D x_y) (s_y + (e^C - 1) V_yy e^(A x_y)),   s_y = sum_c V_yc e^(A x_c).
    Turn x and q such that A, C and D are not negative. Let r_y be s_y without c = 0, and
    Q_j = r_j + (e^C - 1) V_jj e^(A x_j). Then log p(x, p_0)/p(x, p_j) has the slope
        D + A (u/(r_0 + u) - v/(Q_j + v)),   u = e^C V_00 e^(A x_0),   v = V_j0 e^(A x_0),
    along x_0. It is at least D if e^C V_00 Q_j >= V_j0 r_0: always if prompts differ in the object
    only. So class 0 is decided above a threshold of x_0. Where the condition fails, the image's own
    x_0 decides.
    """
    mu = abs(worlds.mean[0])
    q = abs(texts[0, 0, 0] - texts[0, 0, 1])
    S = worlds.image_variance[0]
    v, n_I, n_T = (each[0] for each in worlds.variances())
    d = v * (n_I + n_T) + n_I * n_T
    A = mu * n_T / d
    C = mu * n_I * q / d
    D = v * q / d
    log_V = np.zeros(())  # (N, y, c), with one y if all prompts have the same
    for b in range(1, len(worlds.mean)):
        prompts = texts[:, b] if (texts[:, b] != texts[0, b]).any() else texts[:1, b]
        x_b, text = np.broadcast_arrays(image[:, None, b], prompts)
        density = block_log_density(x_b, text, worlds, b)
        log_V = log_V + given_label(density, block_law(worlds, b))
    log_V = given_label(log_V, block_law(worlds, 0))
    x = np.sign(worlds.mean[0]) * image[:, 0]
    K = worlds.class_count
    terms = log_V + A * x[:, None]
    log_r = np.broadcast_to(np.logaddexp.reduce(terms[..., 1:], axis=-1), x.shape)
    log_V = np.broadcast_to(log_V, (len(x), K, K))
    terms = np.broadcast_to(terms, (len(x), K, K))
    with np.errstate(divide="ignore"):
        log_gain = C + np.log(-np.expm1(-C))  # log(e^C - 1)
    own = log_gain + terms[:, np.arange(K), np.arange(K)]
    centre = mu * (code[0] == 0)

    def lead(rows, t):
        """log p(x, p_0) less the largest of the others, at x_0 that many deviations from its
        mean.
        """
        x_0 = centre + np.sqrt(S) * t
        log_s = np.logaddexp(log_r[rows], log_V[rows, :, 0] + A * x_0[:, None])
        first = D * x_0 + np.logaddexp(log_s[:, 0], log_gain + log_V[rows, 0, 0] + A * x_0)
        return first - (D * x[rows, 1:] + np.logaddexp(log_s[:, 1:], own[rows, 1:])).max(axis=-1)

    ends = np.repeat([[-RANGE], [RANGE]], len(x), axis=1)
    at_low, at_high = (lead(slice(None), end) for end in ends)
    inside = np.flatnonzero((at_low < 0) & (at_high > 0))
    threshold = np.where(at_low < 0, np.inf, -np.inf)
    threshold[inside] = roots(lambda active, t: lead(inside[active], t), *ends[:, inside])
    log_Q = np.logaddexp(log_r[:, 1:], own[:, 1:])
    rises = (C + log_V[:, :1, 0] + log_Q - log_V[:, 1:, 0] - log_r[:, :1] >= -SLACK).all(axis=-1)
    return np.where(rises, ndtr(-threshold), lead(slice(None), (x[:, 0] - centre) / np.sqrt(S)) > 0)


def equal_classes(world: World) -> World:
    """The world with all classes equally frequent, as they are without a table, each with its own
    backgrounds.
    """
    if world.table is None:
        return world
    return world.replace(
        table=world.background_law() / world.classes, common=world.usual_backgrounds()
    )


class Unseen(NamedTuple):
    """Shares of each group without a similar pair, and the number of pairs at which they are
    RARE.
    """

    common: float
    counter: float
    pairs_needed: float


@dataclass(frozen=True)
class InfoNCE(Learner):
    """The optimum of InfoNCE (and SigLIP) over unrestricted towers, the PMI critic, or over towers
    of unit embeddings.

    Parameters
    ----------
    prompt
        A prompt of `simulator.prompts`.
    scale
        The logit scale s of scores s u.v of unit embeddings, in [.01, 100], at infinitely many
        negatives. Two classes, one background, no table; see `theory.unit_embeddings`. None is the
        PMI critic.
    embed_dim
        Width of unit embeddings, at least 2; None is as wide as makes a difference.

    Raises
    ------
    ValueError
        For values outside their domains, and an embed_dim without a scale.

    Examples
    --------
    >>> InfoNCE(scale=1.0).accuracy(World(mu_spu=1.5, sigma_xi=6.0))
    Accuracy(common=0.8995 (0.8995 to 0.8995), counter=0.6105 (0.6103 to 0.6107))
    """

    name: ClassVar[str] = "infonce"
    words: ClassVar[str] = "the InfoNCE optimum"
    prompt: Prompt = "name"
    scale: float | None = None
    embed_dim: int | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.scale is not None and not SCALES[0] <= self.scale <= SCALES[1]:
            raise ValueError(f"scale = {outside(self.scale, *SCALES)}")
        if self.embed_dim is not None and self.embed_dim < 2:
            raise ValueError(
                f"embed_dim = {outside(self.embed_dim, 2)}, since one coordinate keeps only a sign"
            )
        if self.embed_dim is not None and self.scale is None:
            raise ValueError(
                f"embed_dim = {self.embed_dim} is the width of unit embeddings, which need a scale"
            )

    @property
    def objective(self) -> Objective:
        """The loss of unit embeddings."""
        return INFONCE

    def accuracy(self, worlds: World) -> Accuracy:
        """By quadrature for two classes and one attribute, else sampled; see `infonce_accuracy`,
        `unit_accuracy`.
        """
        if (scale := self.scale) is None:
            return infonce_accuracy(worlds, self.prompt)

        def of_unit_embeddings(world: World) -> Accuracy:
            world = narrowest(world)  # its optimum is in the cache if it answers images, too
            if not self._without_limits(world, scale):
                return unit_accuracy(world, self.prompt, scale, self.embed_dim, self.objective)
            law = infonce_accuracy(world, self.prompt)
            return Accuracy.of([*law], LEVEL, law.interval or zip(law, law, strict=True))

        return world_by_world(of_unit_embeddings, worlds)

    def _without_limits(self, world: World, scale: float) -> bool:
        """Whether unit embeddings reach all scores of the optimum over unrestricted towers."""
        check_unit(world)
        _refuse(world, self.prompt)
        return self.embed_dim is None and reaches(
            world, self.prompt, scale, self.objective.constant
        )

    def scores(self, world: World, images: Float[np.ndarray, "N l"]) -> Float[np.ndarray, "N K"]:
        """Scores in the order of the PMI, log p(x_I, p_y) in nats without what prompts share; or
        pooled scores.
        """
        if self.scale is not None and not self._without_limits(
            narrow := narrowest(world), self.scale
        ):
            *_, answer = ends(narrow, self.scale, self.embed_dim, self.objective)
            gaps = score_gap(
                narrow, self.prompt, *answer, self.scale, self.embed_dim is None, self.objective
            )
            gap = gaps(*(images / np.sqrt(world.image_variance)).T)
            return np.stack([gap, -gap], axis=1)
        prompt = "bare" if _pools_bare(world, self.prompt) else self.prompt
        _refuse(world, prompt)
        if prompt == "bare":
            return bare_log_score(equal_classes(world), images)
        if prompt_row(prompt).pool:
            return all_captions_scores(world, prompt, images)
        return prompt_scores(images, world.prompts(prompt), world)

    @property
    def by_likelihood(self) -> bool:
        """By a single caption, and without limits of the scores."""
        return self.scale is None and prompt_row(self.prompt).pool is None

    def may_be_sampled(self, several: bool) -> bool:
        """Unit embeddings always have an error."""
        return self.scale is not None or super().may_be_sampled(several)

    def unseen(self, world: World, pairs: float) -> Unseen | None:
        """The shares of test images that a run of `pairs` cannot learn, to about .001; None without
        a closed form.

        Where n exp(PMI(x, p)) is below 1, a run of n pairs is expected to have none near the image
        x and the caption p. The loss then hardly determines their score: its gradient is e^score -
        e^PMI, and scores stop at about -log n. If all classes' PMI is below -log n, chance decides
        the image. After a million pairs (p = .9, mu_spu = 2, nu = .25, average caption) towers and
        optimum differ on 63 % of the counter images whose better class has a PMI below -14, and on
        none above -3.
        """
        plain = world.p_inv == 1 and not world.attribute and world.table is None
        noisy = world.nu_image > 0 and world.nu_text > 0
        single = self.by_likelihood and self.prompt != "bare"
        if not (plain and noisy and single) or world.caption_kinds.silence.any():
            return None
        # other pairs are spread like independent images and captions
        similar = (1 - world.mismatch) * (1 - world.bare)
        best = [_best_pmi(world, world.prompts(self.prompt), group) for group in (0, 1)]
        common, counter = (float(np.mean(values < -np.log(similar * pairs))) for values in best)
        with np.errstate(over="ignore"):  # no double holds so many pairs
            needed = max(float(np.exp(-np.quantile(values, RARE))) for values in best) / similar
        return Unseen(common, counter, float(needed))


def _best_pmi(world: World, texts: Float[np.ndarray, "K l"], group: int) -> Float[np.ndarray, " N"]:
    """For each test image of a group with label class 0: the largest PMI over the classes'
    prompts.
    """
    patterns = class_means(world.classes)[[0, group]]
    deviation = np.repeat(np.sqrt(world.image_variance), patterns.shape[1])
    images = (world.mean[:, None] * patterns).ravel() + deviation * gaussian_points(
        len(deviation), NEAR, group
    )
    joint = [log_density(images, np.broadcast_to(text, images.shape), world) for text in texts]
    pmi = (
        np.array(joint)
        - log_density(images, None, world)
        - log_density(None, texts, world)[:, None]
    )
    return pmi.max(axis=0)
