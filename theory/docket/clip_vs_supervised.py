"""Where the papers disagree: is the contrastive or the supervised learner more accurate on the
counter group?
"""

from functools import partial

import numpy as np

from simulator.prompts import prompt_row
from simulator.world import view_noise
from theory import theorems as T
from theory.claims.claim import Axis, Claim
from theory.docket.common import BARE, box, says
from theory.docket.sentences import reading
from theory.docket.subjects import (
    BAYES,
    INFONCE_BOTH,
    LEAST_SQUARES,
    LINEAR_BOTH,
    LINEAR_NAME,
    LOGISTIC,
)
from theory.published import WANG

NO_MORE = "wang-no-additional-robustness"
NEAR_ONE = Axis(0.5, 1 - 1e-5, "one-minus")
# The space of the maps: mu_inv = sigma_inv = 1. Only the InfoNCE optimum has view noise, because it
# needs some.
MAP_DOMAIN = {
    **BARE,
    "mu_spu": Axis(0.5, 3.0),
    "sigma_spu": Axis(0.2, 2.5),
    "p_spu": NEAR_ONE,
    "sigma_inv": 1.0,
}
MAP_VIEW_NOISE = 0.1
# [W]'s regime on the maps: mu_spu >= 1 + sigma_inv^2/2, sigma_spu < sigma_inv, p near 1.
MAP_REGIME = MAP_DOMAIN | box(
    mu_spu=(1.5, 3.0), sigma_spu=(0.2, 1.0), p_spu=Axis(0.99, 1 - 1e-5, "one-minus")
)
# For logistic regression on drawn pairs: at p_spu = .995, 1e5 pairs contain 500 counterexamples.
FITTED_REGIME = {**MAP_REGIME, "p_spu": Axis(0.99, 0.995)}
AT_ONE = BARE | box(
    sigma_inv=(0.3, 3.0), mu_spu=(0.5, 4.0), p_spu=1.0, sigma_spu=(0.05, lambda x: x.sigma_inv)
)
# The classes must overlap in 1e5 drawn pairs, or logistic regression has no minimiser: at most 3.4
# deviations apart. At sigma_spu = sigma_inv both sides are equal, and a verdict would need a
# thousand fits: the domain ends before it.
OVERLAPPING = BARE | box(
    sigma_inv=(0.7, 3.0), mu_spu=(0.5, 1.5), p_spu=1.0, sigma_spu=(0.5, lambda x: 0.9 * x.sigma_inv)
)
# T4: the margin is negative for the typical appearance where sigma_spu^2 > sigma_inv^2 (1 +
# sigma_inv^2).
NOISY = {
    "name": lambda x, margin: margin * x.sigma_inv * np.sqrt(1 + x.sigma_inv**2),
    "mean": lambda x, margin: margin * x.sigma_inv,
}

supervised = partial(Claim, question="supervised")


def at_full_correlation(subject, against, domain, margin) -> list[Claim]:
    """T4: CLIP is ahead where the background is the less noisy latent, and behind where it is
    noisier by the margin.
    """
    words = with_prompt(subject)
    pair = f"{subject.prompt}-vs-{against.name}"
    noisy = Axis(lambda x: NOISY[subject.prompt](x, margin), lambda x: 4 * x.sigma_inv + 9)
    return [
        supervised(
            id=f"clip-beats-supervised-at-full-correlation/{pair}",
            source=f"soberclip T4, under the condition of {WANG}, Theorem 6.2",
            statement=(
                f"At p = 1 and sigma_inv > sigma_spu, {words} is at least as accurate on the"
                f" counter group as {against.words}."
            ),
            formula=r"p=1,\ \sigma_{\mathrm{inv}}>\sigma_{\mathrm{spu}}\Rightarrow "
            r"t_{\mathrm{CLIP}}\leq t_{\mathrm{LDA}}",
            **says(subject, "counter", ">=", against, domain),
        ),
        supervised(
            id=f"supervised-beats-clip-at-full-correlation/{pair}",
            source="soberclip T4",
            statement=(
                f"At p = 1 and a noisy background, {words} is at most as accurate on the counter"
                f" group as {against.words}."
            ),
            formula=(
                r"p=1,\ \sigma_{\mathrm{spu}}\ \mathrm{large}\Rightarrow t_{\mathrm{CLIP}}\geq"
                r" t_{\mathrm{LDA}}"
            ),
            **says(subject, "counter", "<=", against, {**domain, "sigma_spu": noisy}),
        ),
    ]


def with_prompt(learner) -> str:
    """The learner and its prompt in words."""
    prompt = getattr(learner, "prompt", None)
    return learner.words + (f" ({prompt_row(prompt).words})" if prompt else "")


CLAIMS = [
    # At p = 1 least squares, LDA and logistic regression have one direction; the first and last are
    # measured.
    *(
        claim
        for subject in LINEAR_BOTH
        for against, domain, margin in ((LEAST_SQUARES, AT_ONE, 1.0), (LOGISTIC, OVERLAPPING, 1.1))
        for claim in at_full_correlation(subject, against, domain, margin)
    ),
    *(
        supervised(
            id=f"{family}/{ours.name}-{ours.prompt}-vs-{theirs.name}",
            quantifier=quantifier,
            **reading(
                NO_MORE, "Theorem 6.2's regime, both learners and the counter group are ours"
            ),
            statement=(
                f"In the theorem's regime {with_prompt(ours)} is {words} accurate on the counter"
                f" group {than} {with_prompt(theirs)}."
            ),
            formula=(
                r"\mathrm{Acc}_{\mathrm{contrastive}}(a\neq y)\leq"
                r" \mathrm{Acc}_{\mathrm{supervised}}(a\neq y)"
            ),
            **says(ours, "counter", "<=", theirs),
            domain={
                **(FITTED_REGIME if theirs == LOGISTIC else MAP_REGIME),
                "sigma_xi": float(view_noise(MAP_VIEW_NOISE, 2)) if ours in INFONCE_BOTH else 0.0,
            },
        )
        for family, quantifier, words, than in (
            ("no-extra-robustness", "always", "never more", "than"),
            ("no-extra-robustness-somewhere", "somewhere", "in some world at most as", "as"),
            (
                "no-extra-robustness-on-average",
                "on average",
                "on average over worlds at most as",
                "as",
            ),
        )
        for ours in (*LINEAR_BOTH, *INFONCE_BOTH)
        for theirs in (LOGISTIC, LEAST_SQUARES, BAYES)
    ),
    supervised(
        id="no-extra-robustness/crossover-least-squares",
        source="soberclip T5",
        statement=(
            "Linear CLIP (typical appearance) is more robust than least squares iff p exceeds p_c."
        ),
        formula=r"p>p_c=\frac{1}{2}(1+\sqrt{1-[S_iA-\alpha^2S_s]/(\alpha\beta)^2})",
        **says(LINEAR_NAME, "counter", "iff", LEAST_SQUARES, MAP_DOMAIN),
        prediction=lambda x: T.least_squares_margin(
            1.0, x.mu_spu, x.sigma_inv, x.sigma_spu, x.p_spu
        ),
    ),
]
