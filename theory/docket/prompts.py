"""T9, prompt ensembles: the InfoNCE optimum with all captions of a class; a prompt that names a
background.

Captions here are the latents themselves, without noise and with full mention, so everything has a
closed form. The measurement takes another route: scores of drawn images by grids of captions
(`theory.learners.captions`).
"""

from functools import partial

import numpy as np
from scipy.special import ndtr

from theory import theorems as T
from theory.claims.claim import Axis, Claim
from theory.docket.common import m0, says
from theory.docket.ours import INFONCE_WORLD
from theory.docket.subjects import BAYES, LINEAR_MEAN
from theory.learners import InfoNCE, LinearCLIP

LATENT_CAPTIONS = {**INFONCE_WORLD, "sigma_xi": Axis(0.3, 2.0), "sigma_xi_text": 0.0}
SCORES = InfoNCE("scores")
ENSEMBLES = "soberclip T9; prompt ensembles: Radford et al. 2021, section 3.1.4"


def nearest_mean(x):
    """Counter accuracy of the linear rule of the nearest average caption."""
    t = T.reliance_nearest_mean(1.0, x.mu_spu, m0(x))
    return ndtr(
        T.counter_score(t, 1.0, x.mu_spu, x.sigma_inv**2 + x.nu_image, x.sigma_spu**2 + x.nu_image)
    )


ensembles = partial(Claim, question="prompts", domain=LATENT_CAPTIONS)

CLAIMS = [
    ensembles(
        id="prompt-ensembles/captions-are-bayes",
        source="soberclip T9; the optimum itself: Uesaka et al., ICLR 2025 (arXiv 2510.15508)",
        statement=(
            "With the log-mean-exp of scores over all captions of a class, the InfoNCE optimum is"
            " as accurate on the counter group as the Bayes rule of the training law."
        ),
        formula=r"\log\mathbb{E}_{t|y}\,e^{\mathrm{PMI}(x,t)}=\log\frac{p(x|y)}{p(x)},\ \nu_T=0",
        **says(InfoNCE("captions"), "counter", "=", BAYES),
    ),
    ensembles(
        id="prompt-ensembles/scores-are-nearest-mean",
        source="soberclip T9",
        statement=(
            "With the mean of scores over all captions of a class, the InfoNCE optimum is the"
            " linear rule of the nearest average caption."
        ),
        formula=(
            r"\mathbb{E}_{t|y}\,\mathrm{PMI}(x,t)=x^T\mathbb{E}[t|y]/\nu_I+c(x),\ t=\beta"
            r" m_0/\alpha,\ \nu_T=0"
        ),
        **says(SCORES, "counter", "=", nearest_mean),
    ),
    ensembles(
        id="prompt-ensembles/averaging-vs-name",
        source=ENSEMBLES,
        statement=(
            "The mean of scores over all captions of a class is at most as accurate on the counter"
            " group as the typical appearance, which is perfectly robust."
        ),
        formula=r"\mathrm{Acc}_{\mathrm{scores}}(a\neq y)\leq\Phi(\alpha/\sqrt{S_i}),\ \nu_T=0",
        **says(SCORES, "counter", "<=", lambda x: ndtr(1 / np.sqrt(x.sigma_inv**2 + x.nu_image))),
    ),
    ensembles(
        id="prompt-ensembles/averaging-vs-bayes",
        source=ENSEMBLES,
        statement=(
            "The mean of scores over all captions of a class is at most as accurate on the counter"
            " group as their log-mean-exp, the Bayes rule of the training law."
        ),
        formula=(
            r"\mathrm{Acc}_{\mathrm{scores}}(a\neq y)\leq\mathrm{Acc}_{\mathrm{Bayes}}(a\neq"
            r" y),\ \nu_T=0"
        ),
        **says(SCORES, "counter", "<=", BAYES),
    ),
    Claim(
        id="named-background",
        question="prompts",
        source="soberclip T2",
        statement=(
            "A prompt that names the class's usual background relies on it no less than the average"
            " caption."
        ),
        formula=r"q=(\alpha,\beta)\Rightarrow t\geq t_{\mathrm{mean}}",
        **says(LinearCLIP("background"), "reliance", ">=", LINEAR_MEAN, INFONCE_WORLD),
    ),
]
