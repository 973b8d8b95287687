"""T9, prompt ensembles: what the InfoNCE optimum makes of all captions of a class; a prompt that names a background.

Captions here are the latents themselves, without noise and with full mention; then everything has a closed form. What
is measured goes another way: scores of drawn images by quadrature over captions (`theory.learners.captions`).
"""

import numpy as np
from scipy.special import ndtr

from theory import theorems as T
from theory.claims.claim import Axis, Claim
from theory.claims.common import BARE, BAYES, LINEAR_MEAN, m0
from theory.learners import InfoNCE, LinearCLIP

LATENT_CAPTIONS = {
    **BARE,
    "p_spu": Axis(0.5, 0.95),
    "mu_spu": Axis(0.5, 2.5),
    "sigma_inv": Axis(0.5, 2.0),
    "sigma_spu": Axis(0.3, 1.5),
    "sigma_xi": Axis(0.3, 2.0),
    "sigma_xi_text": 0.0,
}
SCORES = InfoNCE("scores")


def claims() -> list[Claim]:
    """The two equalities first."""
    return [*_equalities(), *_averaging(), _named_background()]


def _equalities() -> list[Claim]:
    def nearest(x):
        t = T.reliance_nearest_mean(1.0, x.mu_spu, m0(x))
        return ndtr(T.counter_score(t, 1.0, x.mu_spu, x.sigma_inv**2 + x.nu_image, x.sigma_spu**2 + x.nu_image))

    return [
        Claim(
            id="prompt-ensembles/captions-are-bayes",
            question="prompts",
            source="soberclip T9; the optimum itself: Uesaka et al., ICLR 2025 (arXiv 2510.15508)",
            statement="Asked by the log-mean-exp of scores over all captions of a class, the InfoNCE optimum is right "
            "on as much of the counter group as the Bayes rule of the training law.",
            formula=r"\log\mathbb{E}_{t|y}\,e^{\mathrm{PMI}(x,t)}=\log\frac{p(x|y)}{p(x)},\ \nu_T=0",
            quantity="counter",
            relation="=",
            domain=LATENT_CAPTIONS,
            subject=InfoNCE("captions"),
            against=BAYES,
        ),
        Claim(
            id="prompt-ensembles/scores-are-nearest-mean",
            question="prompts",
            source="soberclip T9",
            statement="Asked by the mean of scores over all captions of a class, it is the linear rule of the nearest "
            "mean caption.",
            formula=r"\mathbb{E}_{t|y}\,\mathrm{PMI}(x,t)=x^T\mathbb{E}[t|y]/\nu_I+c(x),\ t=\beta m_0/\alpha,\ \nu_T=0",
            quantity="counter",
            relation="=",
            domain=LATENT_CAPTIONS,
            subject=SCORES,
            prediction=nearest,
        ),
    ]


def _averaging() -> list[Claim]:
    shared = {
        "source": "soberclip T9; prompt ensembles: Radford et al. 2021, section 3.1.4",
        "quantity": "counter",
        "relation": "<=",
        "domain": LATENT_CAPTIONS,
        "subject": SCORES,
    }
    return [
        Claim(
            id="prompt-ensembles/averaging-vs-name",
            question="prompts",
            statement="The mean of scores over all captions of a class is right on no more of the counter group than "
            "the bare class name, which is perfectly robust.",
            formula=r"\mathrm{Acc}_{\mathrm{scores}}(a\neq y)\leq\Phi(\alpha/\sqrt{S_i}),\ \nu_T=0",
            prediction=lambda x: ndtr(1 / np.sqrt(x.sigma_inv**2 + x.nu_image)),
            **shared,
        ),
        Claim(
            id="prompt-ensembles/averaging-vs-bayes",
            question="prompts",
            statement="The mean of scores over all captions of a class is right on no more of the counter group than "
            "their log-mean-exp, the Bayes rule of the training law.",
            formula=r"\mathrm{Acc}_{\mathrm{scores}}(a\neq y)\leq\mathrm{Acc}_{\mathrm{Bayes}}(a\neq y),\ \nu_T=0",
            against=BAYES,
            **shared,
        ),
    ]


def _named_background() -> Claim:
    return Claim(
        id="named-background",
        question="prompts",
        source="soberclip T2",
        statement="A prompt that names the class's usual background relies on it at least as much as the mean caption.",
        formula=r"q=(\alpha,\beta)\Rightarrow t\geq t_{\mathrm{mean}}",
        quantity="reliance",
        relation=">=",
        domain={**{k: v for k, v in LATENT_CAPTIONS.items() if k != "sigma_xi_text"}, **BARE},
        subject=LinearCLIP("background"),
        against=LINEAR_MEAN,
    )
