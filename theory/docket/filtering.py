"""What a paper says about captions that belong to other images, at finitely many pairs
(`World.mismatch` = 1 - eta).

The minimiser of the linearised loss is S/rho, and S tends to eta C, C the covariance without
mismatch. Its error beside what it learns is |S - eta C|/|eta C| in operator norm: 1/(eta sqrt n)
times a number that depends on the world. In 60 drawn worlds with p_spu from .6 to .9, mu_spu from
.5 to 3 and the noise of `MODERATE` that number was .90 to 2.04, and in the corners of that domain
.26 to 1.9. An accuracy has no slope in directions that change no decision, so it loses the square
of the error, 1/(eta^2 n) times another number.
"""

from functools import partial

import numpy as np

from simulator.accuracy import Numbers
from theory.claims.claim import Claim
from theory.docket.common import BARE, COUNTER, FIRST_PAGE, NARROW_VIEWS, says
from theory.docket.sentences import reading
from theory.docket.subjects import LINEAR_NAME
from theory.learners.filtered import Filtered
from theory.population import latent_cross_covariance

PAIRS = 10_000
LEAST, MOST = 0.2, 2.5
# The corners of the domain with the least and the most noise. A search of the domain takes three
# seconds.
QUIET = {**BARE, "p_spu": 0.9, "mu_spu": 3.0, "sigma_inv": 0.5, "sigma_spu": 0.1, "mismatch": 0.5}
NOISIEST = {**QUIET, "mu_spu": 0.5, "sigma_inv": 2.0, "sigma_spu": 2.0}


def rate(x, n: int) -> Numbers:
    """1/(eta sqrt n)."""
    return 1 / ((1 - x.mismatch) * np.sqrt(n))


bounded = partial(
    Claim,
    question="pairs",
    **reading(
        "pareek-unfiltered", "the error of the minimiser beside its size, and worlds, are ours"
    ),
    tolerance=0.002,
    reference=latent_cross_covariance,
    n=PAIRS,
)
lost = partial(Claim, question="pairs", tolerance=0.001, n=1000)

CLAIMS = [
    bounded(
        id="unfiltered-error/above",
        statement=(
            "On ten thousand pairs, of which half match, the error of linear CLIP's minimiser"
            " beside its size is on average at most 2.5/(eta sqrt n) even in the noisiest world of"
            " the domain."
        ),
        meaning=(
            "A tenth of matching captions costs what ninety-nine of a hundred pairs are worth: the"
            " square."
        ),
        formula=r"\mathbb{E}\,\|S-\eta C\|/\|\eta C\|\leq\frac{2.5}{\eta\sqrt{n}}",
        **says(LINEAR_NAME, "operator-error", "<=", lambda x: MOST * rate(x, PAIRS), NOISIEST),
    ),
    bounded(
        id="unfiltered-error/below",
        statement=(
            "On ten thousand pairs, of which half match, the error of linear CLIP's minimiser"
            " beside its size is on average at least .2/(eta sqrt n) even in the least noisy world"
            " of the domain."
        ),
        meaning=(
            "No luck with the world removes this cost: only matching captions or more pairs do."
        ),
        formula=r"\mathbb{E}\,\|S-\eta C\|/\|\eta C\|\geq\frac{.2}{\eta\sqrt{n}}",
        **says(LINEAR_NAME, "operator-error", ">=", lambda x: LEAST * rate(x, PAIRS), QUIET),
    ),
    lost(
        id="unfiltered-error/accuracy-squared",
        source="soberclip, section 5's 1/n law; the other side of Pareek et al., arXiv 2512.14230",
        statement=(
            "In the world of the first page, linear CLIP (typical appearance) loses on a thousand"
            " pairs, of which a share eta = .4 match, at most 1/(eta^2 n) of balanced accuracy."
        ),
        meaning=(
            "Accuracy loses the square of the error: with many pairs, mismatched captions cost next"
            " to nothing."
        ),
        formula=r"\mathbb{E}\,\mathrm{Acc}_\infty-\mathrm{Acc}_n\leq\frac{1}{\eta^2n}",
        **says(
            LINEAR_NAME,
            "balanced",
            ">=",
            lambda x: LINEAR_NAME.accuracy(x).balanced - rate(x, 1000) ** 2,
        ),
        domain={**FIRST_PAGE, "mismatch": 0.6},
    ),
    Claim(
        id="filtered-error/perfect-teacher",
        question="pairs",
        **reading(
            "pareek-filtered",
            "a teacher that keeps what matches, the world of the first page and 2.5 are ours",
        ),
        statement=(
            "On the half of two hundred thousand pairs that a perfect teacher keeps, which all"
            " match, the error of linear CLIP's minimiser beside its size is on average at most"
            " 2.5/sqrt(eta n)."
        ),
        meaning=(
            "After a perfect filter mismatched pairs are merely absent, and no longer blur the"
            " others."
        ),
        formula=r"\mathbb{E}\,\|S-C\|/\|C\|\leq\frac{2.5}{\sqrt{\eta n}}",
        **says(LINEAR_NAME, "operator-error", "<=", lambda x: MOST * rate(x, 10 * PAIRS)),
        tolerance=0.002,
        domain=FIRST_PAGE | NARROW_VIEWS,
        reference=latent_cross_covariance,
        n=10 * PAIRS,
    ),
    Claim(
        id="filtered-error/scores",
        question="pairs",
        **reading(
            "pareek-filtered",
            "a teacher's scores, unlimited pairs, the counter group and the world are ours",
        ),
        statement=(
            "In the world of the first page, and with half of the captions of other pairs, linear"
            " CLIP (typical look) on the half of pairs that a teacher scores highest is as accurate"
            " on the counter group as without such captions, to two points."
        ),
        meaning=(
            "Filters by score keep common images first: with unlimited pairs CLIP leans on"
            " backgrounds more."
        ),
        formula=rf"{COUNTER}_{{\mathrm{{filtered}}}}={COUNTER}",
        **says(Filtered(kept=0.5), "counter", "=", lambda x: LINEAR_NAME.accuracy(x).counter),
        tolerance=0.02,
        domain={**FIRST_PAGE, "mismatch": 0.5},
    ),
]
