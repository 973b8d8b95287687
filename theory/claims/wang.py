"""[W] Wang et al.: the printed statements inside their own regime, and, marked as such, readings beyond it.

Each statement is put as its authors would put it; `experiments.court` decides. [W] says "with high probability as n
grows": most claims are about the limit, at n = 1e10, where single trainings no longer differ. Those of
`_with_high_probability` bound the share of trainings on few pairs that satisfy the inequality.
"""

from functools import partial

import numpy as np

from theory.claims.claim import Axis, Claim
from theory.claims.common import ANY_CORRELATION, LINEAR_MEAN, PAPER_WORLD, REGIME, m0, papers
from theory.published import WANG, lemma_d3_limit, smallest_mu_spu, theorem_62_bounds, turning_points

BEYOND = f"soberclip, beyond what {WANG} states"


def _printed_error(x):
    return theorem_62_bounds(*papers(x)).error_counter


def _printed_accuracy(x):
    return theorem_62_bounds(*papers(x)).accuracy_common


theorem = partial(Claim, question="theorem", relation=">=", domain=REGIME)
error = partial(theorem, quantity="error-counter", prediction=_printed_error)
accuracy = partial(theorem, quantity="common", prediction=_printed_accuracy)


def claims() -> list[Claim]:
    """The paper's own first."""
    return [*_printed(), *_under_the_mean_prompt(), *_with_high_probability(), *_beyond()]


def _printed() -> list[Claim]:
    return [
        Claim(
            id="wang-lemma-d3",
            question="theorem",
            source=f"{WANG}, Lemma D.3",
            statement="For any mu_spu, the minimiser tends to the printed matrix as n grows.",
            formula=r"\rho D_I^TM^*D_T\to[[1+\sigma_{\mathrm{inv}}^2,\ 2\mu_{\mathrm{spu}}p-1],\ "
            r"[2\mu_{\mathrm{spu}}p-1,\ 1+\sigma_{\mathrm{spu}}^2]]",
            quantity="operator-error",
            relation="<=",
            domain={**PAPER_WORLD, "mu_spu": Axis(1.0, 4.0)},
            reference=lambda x: lemma_d3_limit(*papers(x)),
        ),
        error(
            id="wang-theorem-6.2-error",
            source=f"{WANG}, Theorem 6.2",
            statement="In the theorem's regime, the error on the counter group is at least the printed bound.",
            formula=r"\mathrm{Err}(a\neq y)\geq 1-\Phi(\kappa_1)",
        ),
        accuracy(
            id="wang-theorem-6.2-accuracy",
            source=f"{WANG}, Theorem 6.2",
            statement="In the theorem's regime, the accuracy on the common group is at least the printed bound.",
            formula=r"\mathrm{Acc}(a=y)\geq 1-\Phi(\kappa_2)",
        ),
    ]


def _under_the_mean_prompt() -> list[Claim]:
    """[W] defines p_y = D_T E[z | y] and does not say under which law; its proof takes the name prompt."""
    mean = {
        "source": f"{WANG}, Theorem 6.2, p_y = D_T E[z | y] under the training law",
        "subject": LINEAR_MEAN,
    }
    return [
        error(
            id="wang-theorem-6.2-mean-prompt/error",
            statement="In the theorem's regime, the error on the counter group is at least the printed bound, also "
            "under the mean prompt.",
            formula=r"\mathrm{Err}_{\mathrm{mean}}(a\neq y)\geq 1-\Phi(\kappa_1)",
            **mean,
        ),
        accuracy(
            id="wang-theorem-6.2-mean-prompt/accuracy",
            statement="In the theorem's regime, the accuracy on the common group is at least the printed bound, also "
            "under the mean prompt.",
            formula=r"\mathrm{Acc}_{\mathrm{mean}}(a=y)\geq 1-\Phi(\kappa_2)",
            **mean,
        ),
    ]


def _with_high_probability() -> list[Claim]:
    """Single trainings; at p = .99 a thousand pairs hold ten of the counter group, ten thousand a hundred."""
    few = {"question": "pairs", "share": 0.95}
    bound = r"1-\Phi(\kappa_1)"
    return [
        error(
            id="wang-theorem-6.2-high-probability/error",
            source=f"{WANG}, Theorem 6.2",
            statement="In the theorem's regime, of trainings on 10,000 pairs at least 95% have an error on the counter "
            "group of at least the printed bound.",
            formula=rf"P(\mathrm{{Err}}(a\neq y)\geq {bound})\geq .95,\ n=10^4",
            n=10_000,
            **few,
        ),
        accuracy(
            id="wang-theorem-6.2-high-probability/accuracy",
            source=f"{WANG}, Theorem 6.2",
            statement="In the theorem's regime, of trainings on 10,000 pairs at least 95% have an accuracy on the "
            "common group of at least the printed bound.",
            formula=r"P(\mathrm{Acc}(a=y)\geq 1-\Phi(\kappa_2))\geq .95,\ n=10^4",
            n=10_000,
            **few,
        ),
        error(
            id="thousand-pairs-suffice",
            source=f"{BEYOND}: Theorem 6.2 at n = 1,000",
            statement="In the theorem's regime, of trainings on 1,000 pairs at least 95% have an error on the counter "
            "group of at least the printed bound.",
            formula=rf"P(\mathrm{{Err}}(a\neq y)\geq {bound})\geq .95,\ n=10^3",
            n=1000,
            **few,
        ),
    ]


def _beyond() -> list[Claim]:
    """Readings that the paper does not state: other correlations, view noise, equivalences."""
    any_p = {**REGIME, "p_spu": ANY_CORRELATION}
    # sigma_inv up to 2 keeps the smallest mu_spu at 3, below 4.
    half = {
        **REGIME,
        "p_spu": 0.5,
        "sigma_inv": Axis(0.5, 2.0),
        "mu_spu": Axis(lambda x: smallest_mu_spu(x.sigma_inv), 4.0),
    }
    majority = {**PAPER_WORLD, "mu_spu": Axis(lambda x: smallest_mu_spu(x.sigma_inv), 10.0)}
    condition = r"\mu_{\mathrm{spu}}\geq 1+\sigma_{\mathrm{inv}}^2/2"
    above_half = r"\mathrm{Err}(a\neq y)\geq \frac{1}{2}"
    turns = partial(theorem, source="soberclip, on [W] Theorem 6.2", relation="iff", domain=any_p)
    return [
        turns(
            id="theorem-6.2-boundary/error",
            statement="Under the theorem's conditions at any p, its error inequality holds iff p exceeds one root.",
            formula=r"\mathrm{Err}>1-\Phi(\kappa_1)\Leftrightarrow p>p_{\mathrm{turn}}",
            quantity="error-counter",
            threshold=_printed_error,
            prediction=lambda x: x.p_spu - turning_points(*papers(x)[1:])[0],
        ),
        turns(
            id="theorem-6.2-boundary/accuracy",
            statement="Under the theorem's conditions at any p, its accuracy inequality holds iff p exceeds one root.",
            formula=r"\mathrm{Acc}>1-\Phi(\kappa_2)\Leftrightarrow p>p_{\mathrm{turn}}",
            quantity="common",
            threshold=_printed_accuracy,
            prediction=lambda x: x.p_spu - turning_points(*papers(x)[1:])[1],
        ),
        error(
            id="wang-half-correlation/error",
            source=f"{BEYOND}: Theorem 6.2 at p_spu = 1/2",
            statement="The printed error bound also holds where the background carries no information.",
            formula=r"\mathrm{Err}(a\neq y)\geq 1-\Phi(\kappa_1)\ \mathrm{at}\ p=\frac{1}{2}",
            domain=half,
        ),
        accuracy(
            id="wang-half-correlation/accuracy",
            source=f"{BEYOND}: Theorem 6.2 at p_spu = 1/2",
            statement="The printed accuracy bound also holds where the background carries no information.",
            formula=r"\mathrm{Acc}(a=y)\geq 1-\Phi(\kappa_2)\ \mathrm{at}\ p=\frac{1}{2}",
            domain=half,
        ),
        accuracy(
            id="view-noise",
            source=f"{BEYOND}: Theorem 6.2 with view noise",
            statement="The printed accuracy inequality survives view noise of variance up to 1 per coordinate.",
            formula=r"\mathrm{Acc}(a=y)\geq 1-\Phi(\kappa_2),\ 0\leq \sigma_\xi^2/d\leq 1",
            domain={**REGIME, "sigma_xi": Axis(0.0, np.sqrt(2.0))},
        ),
        theorem(
            id="counter-majority-wrong",
            source="soberclip, corrected law",
            statement="More than half of the counter group is wrong iff mu_spu^2 (2p - 1) > 1 + sigma_inv^2.",
            formula=r"\mathrm{Err}(a\neq y)>\frac{1}{2}\Leftrightarrow "
            r"\mu_{\mathrm{spu}}^2(2p-1)>1+\sigma_{\mathrm{inv}}^2",
            quantity="error-counter",
            relation="iff",
            domain=PAPER_WORLD,
            threshold=0.5,
            prediction=lambda x: x.mu_spu**2 * m0(x) - 1 - x.sigma_inv**2,
        ),
        theorem(
            id="paper-condition-sufficient",
            source=f"{BEYOND}: the condition of Theorem 6.2 at any p",
            statement="mu_spu >= 1 + sigma_inv^2/2 makes the majority of the counter group wrong, for p in [.5, 1].",
            formula=rf"{condition}\Rightarrow {above_half}",
            quantity="error-counter",
            domain=majority,
            prediction=lambda x: 0.5,
        ),
        theorem(
            id="paper-condition-sufficient-at-one",
            source=f"{WANG}, condition of Theorem 6.2",
            statement="mu_spu >= 1 + sigma_inv^2/2 makes the majority of the counter group wrong at p = 1.",
            formula=rf"p=1,\ {condition}\Rightarrow {above_half}",
            quantity="error-counter",
            domain={**majority, "p_spu": 1.0},
            prediction=lambda x: 0.5,
        ),
    ]
