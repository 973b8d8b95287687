"""[W] Wang et al.: the printed statements inside their own regime, and readings beyond it, which
are marked.

Each statement is worded as its authors would; `experiments.court` decides. [W] says "with high
probability as n grows": most claims are about the limit, at n = 1e10, where single trainings no
longer differ. Claims about high probability bound the share of trainings on few pairs that satisfy
the inequality.
"""

from functools import partial

import numpy as np
from scipy.special import ndtr

from theory.claims.claim import Axis, Claim
from theory.docket.common import ANY_CORRELATION, PAPER_WORLD, REGIME, box, m0, says
from theory.docket.sentences import printed, reading
from theory.docket.subjects import LINEAR_MEAN, LINEAR_NAME
from theory.published import (
    WANG,
    lemma_d3_limit,
    papers,
    smallest_mu_spu,
    theorem_62_kappas,
    turning_points,
)

BEYOND = f"soberclip, beyond what {WANG} states"
THEOREM_62 = "wang-zero-shot-bounds"
ANY_P = {**REGIME, "p_spu": ANY_CORRELATION}
# sigma_inv up to 2 keeps the smallest mu_spu at 3, below 4.
HALF = REGIME | box(
    p_spu=0.5, sigma_inv=(0.5, 2.0), mu_spu=(lambda x: smallest_mu_spu(x.sigma_inv), 4.0)
)
MAJORITY = {**PAPER_WORLD, "mu_spu": Axis(lambda x: smallest_mu_spu(x.sigma_inv), 10.0)}
CONDITION = r"\mu_{\mathrm{spu}}\geq 1+\sigma_{\mathrm{inv}}^2/2"
ABOVE_HALF = r"\mathrm{Err}(a\neq y)\geq \frac{1}{2}"


def printed_bound(x, which: int):
    """The theorem's bound of the error on the counter group (0), or of the accuracy on the common
    group (1).
    """
    return ndtr(-theorem_62_kappas(*papers(x))[which])


printed_error = partial(printed_bound, which=0)
printed_accuracy = partial(printed_bound, which=1)
# The theorem's two inequalities: quantity, printed bound, words, and LaTeX of measure, group and
# bound.
ERROR = (
    "error-counter",
    printed_error,
    "error on the counter group",
    (r"\mathrm{Err}", r"(a\neq y)", r"\kappa_1"),
)
ACCURACY = (
    "common",
    printed_accuracy,
    "accuracy on the common group",
    (r"\mathrm{Acc}", r"(a=y)", r"\kappa_2"),
)

theorem = partial(Claim, question="theorem", domain=REGIME)


def inequality(
    which, id: str, statement: str, formula: str = r"%s%s\geq 1-\Phi(%s)", **fields
) -> Claim:
    """A claim about ERROR or ACCURACY; `statement` and `formula` name it by "%s"."""
    quantity, bound, words, letters = which
    text = {"id": id, "statement": statement.replace("%s", words), "formula": formula % letters}
    return theorem(**text, **{**says(LINEAR_NAME, quantity, ">=", bound), **fields})


def trainings(which, id: str, n: int, digits: int, **fields) -> Claim:
    """A claim about single trainings; at p = .99 a thousand pairs contain ten of the counter
    group.
    """
    few = f"In the theorem's regime, at least 95% of trainings on {n:,} pairs"
    return inequality(
        which,
        id,
        f"{few} have an %s of at least the printed bound.",
        rf"P(%s%s\geq 1-\Phi(%s))\geq .95,\ n=10^{digits}",
        question="pairs",
        share=0.95,
        n=n,
        **fields,
    )


REGIME_WORDS = "In the theorem's regime, the %s is at least the printed bound"
# [W] defines p_y = D_T E[z | y] and does not say under which law; its proof takes the typical
# appearance.
mean_prompt = partial(
    inequality,
    statement=f"{REGIME_WORDS}, also by average caption.",
    formula=r"%s_{\mathrm{mean}}%s\geq 1-\Phi(%s)",
    **reading(
        THEOREM_62, "that p_y = D_T E[z | y] is a mean under the training law is our reading"
    ),
    subject=LINEAR_MEAN,
)
HIGH_PROBABILITY = reading(
    THEOREM_62, "10,000 pairs and 95% are our reading of large n and high probability"
)
turns = partial(theorem, source="soberclip, on [W] Theorem 6.2", domain=ANY_P)

CLAIMS = [
    theorem(
        id="wang-lemma-d3",
        **printed("wang-minimiser-limit"),
        statement="For any mu_spu, the minimiser tends to the printed matrix as n grows.",
        formula=r"\rho D_I^TM^*D_T\to[[1+\sigma_{\mathrm{inv}}^2,\ 2\mu_{\mathrm{spu}}p-1],\ "
        r"[2\mu_{\mathrm{spu}}p-1,\ 1+\sigma_{\mathrm{spu}}^2]]",
        **says(LINEAR_NAME, "operator-error", "<=", 0.0, {**PAPER_WORLD, "mu_spu": Axis(1.0, 4.0)}),
        reference=lambda x: lemma_d3_limit(*papers(x)),
    ),
    inequality(ERROR, "wang-theorem-6.2-error", f"{REGIME_WORDS}.", **printed(THEOREM_62)),
    inequality(ACCURACY, "wang-theorem-6.2-accuracy", f"{REGIME_WORDS}.", **printed(THEOREM_62)),
    mean_prompt(ERROR, "wang-theorem-6.2-mean-prompt/error"),
    mean_prompt(ACCURACY, "wang-theorem-6.2-mean-prompt/accuracy"),
    trainings(ERROR, "wang-theorem-6.2-high-probability/error", 10_000, 4, **HIGH_PROBABILITY),
    trainings(
        ACCURACY, "wang-theorem-6.2-high-probability/accuracy", 10_000, 4, **HIGH_PROBABILITY
    ),
    trainings(
        ERROR, "thousand-pairs-suffice", 1000, 3, source=f"{BEYOND}: Theorem 6.2 at n = 1,000"
    ),
    turns(
        id="theorem-6.2-boundary/error",
        statement=(
            "Under the theorem's conditions at any p, its error inequality holds iff p exceeds one"
            " root."
        ),
        formula=r"\mathrm{Err}>1-\Phi(\kappa_1)\Leftrightarrow p>p_{\mathrm{turn}}",
        **says(
            LINEAR_NAME,
            "error-counter",
            "iff",
            lambda x: x.p_spu - turning_points(*papers(x)[1:])[0],
        ),
        threshold=printed_error,
    ),
    turns(
        id="theorem-6.2-boundary/accuracy",
        statement=(
            "Under the theorem's conditions at any p, its accuracy inequality holds iff p exceeds"
            " one root."
        ),
        formula=r"\mathrm{Acc}>1-\Phi(\kappa_2)\Leftrightarrow p>p_{\mathrm{turn}}",
        **says(LINEAR_NAME, "common", "iff", lambda x: x.p_spu - turning_points(*papers(x)[1:])[1]),
        threshold=printed_accuracy,
    ),
    *(
        inequality(
            which,
            f"wang-half-correlation/{word}",
            f"The printed {word} bound also holds where the background carries no information.",
            r"%s%s\geq 1-\Phi(%s)\ \mathrm{at}\ p=\frac{1}{2}",
            source=f"{BEYOND}: Theorem 6.2 at p_spu = 1/2",
            domain=HALF,
        )
        for word, which in (("error", ERROR), ("accuracy", ACCURACY))
    ),
    inequality(
        ACCURACY,
        "view-noise",
        "The printed accuracy inequality also holds with view noise of variance up to 1 per"
        " coordinate.",
        r"%s%s\geq 1-\Phi(%s),\ 0\leq \sigma_\xi^2/d\leq 1",
        source=f"{BEYOND}: Theorem 6.2 with view noise",
        domain={**REGIME, "sigma_xi": Axis(0.0, np.sqrt(2.0))},
    ),
    theorem(
        id="counter-majority-wrong",
        source="soberclip, corrected law",
        statement=(
            "Linear CLIP is wrong on most of the counter group iff mu_spu^2 (2p - 1) > 1 +"
            " sigma_inv^2."
        ),
        formula=r"\mathrm{Err}(a\neq y)>\frac{1}{2}\Leftrightarrow "
        r"\mu_{\mathrm{spu}}^2(2p-1)>1+\sigma_{\mathrm{inv}}^2",
        **says(
            LINEAR_NAME,
            "error-counter",
            "iff",
            lambda x: x.mu_spu**2 * m0(x) - 1 - x.sigma_inv**2,
            PAPER_WORLD,
        ),
        threshold=0.5,
    ),
    theorem(
        id="paper-condition-sufficient",
        source=f"{BEYOND}: the condition of Theorem 6.2 at any p",
        statement=(
            "If mu_spu >= 1 + sigma_inv^2/2, linear CLIP is wrong on most of the counter group, for"
            " p in [.5, 1]."
        ),
        formula=rf"{CONDITION}\Rightarrow {ABOVE_HALF}",
        **says(LINEAR_NAME, "error-counter", ">=", 0.5, MAJORITY),
    ),
    theorem(
        id="paper-condition-sufficient-at-one",
        **reading(
            THEOREM_62,
            "that p = 1 and the bound of a half follow from its condition is our reading",
        ),
        statement=(
            "If mu_spu >= 1 + sigma_inv^2/2, linear CLIP is wrong on most of the counter group at p"
            " = 1."
        ),
        formula=rf"p=1,\ {CONDITION}\Rightarrow {ABOVE_HALF}",
        **says(LINEAR_NAME, "error-counter", ">=", 0.5, {**MAJORITY, "p_spu": 1.0}),
    ),
]
