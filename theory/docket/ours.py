"""Our own theorems: the corrected law, T1, T2, T3, T7, T8, rates in n, and the limits of
InfoNCE.
"""

from functools import partial

import numpy as np
from scipy.special import ndtr

from simulator.prompts import prompt_row
from simulator.world import view_noise
from theory import theorems as T
from theory.claims.claim import Axis, Claim
from theory.docket.common import (
    ANY_CORRELATION,
    BARE,
    MODERATE,
    PAPER_WORLD,
    box,
    for_both_prompts,
    m0,
    says,
)
from theory.docket.subjects import INFONCE_NAME, LINEAR_BOTH, LINEAR_MEAN, LINEAR_NAME
from theory.learners import LinearCLIP
from theory.population import latent_cross_covariance
from theory.published import WANG, corrected_kappas, papers

MASKED = {
    **MODERATE,
    "p_spu": Axis(0.6, 1.0),
    "mention_inv": Axis(0.5, 1.0),
    "mention_spu": Axis(0.1, 0.95),
}
# A = 1 + sigma_inv^2 <= 2.44 < mu_spu^2: the most harmful correlation is below 1.
PEAK = BARE | box(
    mu_spu=(1.8, 3.0),
    sigma_inv=(0.5, 1.2),
    sigma_spu=(0.1, 2.0),
    p_spu=lambda w: (1 + np.sqrt(1 + w.sigma_inv**2) / w.mu_spu) / 2,
)
INFONCE_WORLD = BARE | box(
    p_spu=(0.5, 0.95), mu_spu=(0.5, 2.5), sigma_inv=(0.5, 2.0), sigma_spu=(0.3, 1.5)
)
LATENTS = {"mu_spu": Axis(0.5, 2.0), "sigma_inv": Axis(1.5, 3.0), "sigma_spu": Axis(0.3, 2.0)}
FEW_CLASSES = {
    "sigma_xi": 0.0,
    **LATENTS,
    "p_spu": ANY_CORRELATION,
    "classes": Axis(3.0, 8.0, integer=True),
    "dim_image": lambda w: 2 * w.classes,
    "dim_text": lambda w: 2 * w.classes,
}

ANY_DIMENSION = Axis(2.0, 1e3, "log", integer=True)

NAME_LAW = r"1-\Phi(k_2^*),\ \Phi(k_1^*)"
MEAN_LAW = (
    r"\Phi((1\pm"
    r" t\mu_{\mathrm{spu}})/\sqrt{\sigma_{\mathrm{inv}}^2+t^2\sigma_{\mathrm{spu}}^2}),"
    r"\ t=t_{\mathrm{mean}}"
)


def reliance_mean(x, kappa=1.0):
    """T2's reliance by average caption."""
    return T.reliance_mean(1.0, x.mu_spu, x.sigma_inv, x.sigma_spu, m0(x), kappa)


def mean_law(x, sign: int):
    """Accuracy by average caption: sign 1 on the counter group, -1 on the common group."""
    return ndtr(
        T.counter_score(reliance_mean(x), 1.0, sign * x.mu_spu, x.sigma_inv**2, x.sigma_spu**2)
    )


def printed_counter(x, prompt: str):
    """Counter accuracy of K classes by T8's printed formula and Gauss-Hermite nodes: a second route
    to `accuracy`.

    u = alpha (alpha^2/K + sigma_inv^2), v = alpha alpha beta D/K by typical appearance; by average
    caption u = alpha [alpha^2/K + sigma_inv^2 + beta^2 D^2/K], v = beta D [alpha^2/K + beta^2/K +
    sigma_spu^2].
    """
    p, beta, si, ss = papers(x)
    K = np.asarray(x.classes, float)
    alpha = 1.0
    D = p - (1 - p) / (K - 1)
    u = alpha * (alpha**2 / K + si**2)
    v = alpha**2 * beta * D / K
    if prompt == "mean":
        u = alpha * (alpha**2 / K + si**2 + beta**2 * D**2 / K)
        v = beta * D * (alpha**2 / K + beta**2 / K + ss**2)
    s = np.sqrt(u**2 * si**2 + v**2 * ss**2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    at = [(u * alpha + shift * v * beta) / s for shift in (-1, 0)]
    both = [ndtr(nodes + np.asarray(z)[..., None]) for z in at]
    return both[0] * both[1] ** (K[..., None] - 2) @ weights / np.sqrt(2 * np.pi)


def largest_mean(x):
    """T3's largest reliance by average caption."""
    return T.largest_reliance_mean(1.0, x.mu_spu, x.sigma_inv, x.sigma_spu)


background = partial(Claim, question="background", domain=MODERATE)
t1 = partial(background, source="soberclip T1")
t2 = partial(background, source="soberclip T2", domain=MASKED)
t3 = partial(background, source="soberclip T3")
limit = partial(background, source="soberclip, optimum of InfoNCE")
many_classes = partial(Claim, question="classes", source="soberclip T8", domain=FEW_CLASSES)

CLAIMS = [
    *(
        Claim(
            id=f"corrected-law/{prompt}-{group}",
            question="theorem",
            source="soberclip, corrected law (T1, T2)",
            statement=(
                f"Accuracy on the {group} group by {prompt_row(prompt).words} equals the corrected"
                " law."
            ),
            formula=formula,
            **says(LinearCLIP(prompt), group, "=", law, PAPER_WORLD),
        )
        for prompt, group, formula, law in (
            ("name", "common", NAME_LAW, lambda x: ndtr(-corrected_kappas(*papers(x))[1])),
            ("name", "counter", NAME_LAW, lambda x: ndtr(corrected_kappas(*papers(x))[0])),
            ("mean", "common", MEAN_LAW, lambda x: mean_law(x, -1)),
            ("mean", "counter", MEAN_LAW, lambda x: mean_law(x, 1)),
        )
    ),
    t1(
        id="one-number-decides/counter",
        statement=(
            "Accuracy on the counter group falls as reliance on the background grows (typical"
            " appearance, where the correlation moves nothing else)."
        ),
        formula=(
            r"t\mapsto\mathrm{Acc}(a\neq"
            r" y)=\Phi((\alpha-t\beta)/\sqrt{S_i+t^2S_s})\ \mathrm{decreasing}"
        ),
        **says(LINEAR_NAME, "counter", "decreasing", "p_spu"),
    ),
    t1(
        id="one-number-decides/common",
        statement=(
            "No reliance gives more accuracy on the common group than that of LDA at p = 1 (average"
            " caption)."
        ),
        formula=r"\mathrm{Acc}(a=y)\leq\Phi(\sqrt{\alpha^2/S_i+\beta^2/S_s})",
        **says(LINEAR_MEAN, "common", "<="),
        prediction=lambda x: ndtr(
            T.best_common_score(1.0, x.mu_spu, x.sigma_inv**2, x.sigma_spu**2)
        ),
    ),
    t1(
        id="one-number-decides/balanced",
        statement=(
            "No reliance gives a higher balanced accuracy than zero reliance (typical appearance)."
        ),
        formula=r"\frac{1}{2}(\mathrm{Acc}(a=y)+\mathrm{Acc}(a\neq y))\leq\Phi(\alpha/\sqrt{S_i})",
        **says(LINEAR_NAME, "balanced", "<="),
        prediction=lambda x: ndtr(
            T.counter_score(0.0, 1.0, x.mu_spu, x.sigma_inv**2, x.sigma_spu**2)
        ),
    ),
    t2(
        id="reliance-law/name",
        statement="Reliance by typical appearance is T2's formula, whatever captions mention.",
        formula=r"t_{\mathrm{name}}=\alpha\beta m_0/(\alpha^2+\sigma_{\mathrm{inv}}^2)",
        **says(
            LINEAR_NAME,
            "reliance",
            "=",
            lambda x: T.reliance_name(1.0, x.mu_spu, x.sigma_inv, m0(x)),
        ),
    ),
    t2(
        id="reliance-law/mean",
        statement="Reliance by average caption is T2's formula, whatever captions mention.",
        formula=r"t_{\mathrm{mean}}=\beta m_0(\alpha^2+\kappa B)/(\alpha(A+\kappa\beta^2m_0^2))",
        **says(
            LINEAR_MEAN,
            "reliance",
            "=",
            lambda x: reliance_mean(x, (x.mention_spu / x.mention_inv) ** 2),
        ),
    ),
    t3(
        id="most-harmful-correlation/size",
        statement="By average caption reliance exceeds T3's largest value at no correlation.",
        formula=r"t_{\mathrm{mean}}\leq(\alpha^2+B)/(2\alpha\sqrt{A})",
        **says(LINEAR_MEAN, "reliance", "<=", largest_mean, {**MODERATE, "p_spu": ANY_CORRELATION}),
    ),
    t3(
        id="most-harmful-correlation/place",
        statement="By average caption reliance takes T3's largest value at m0 = sqrt(A)/beta.",
        formula=r"m_0=\sqrt{A}/\beta\Rightarrow t_{\mathrm{mean}}=(\alpha^2+B)/(2\alpha\sqrt{A})",
        **says(LINEAR_MEAN, "reliance", "=", largest_mean, PEAK),
    ),
    *for_both_prompts(
        t2,
        "no-correlation-no-reliance/%s",
        "Without correlation linear CLIP does not rely on the background by %s.",
        ("reliance", "=", 0.0, {**MODERATE, "p_spu": 0.5}),
        formula=r"p=\frac{1}{2}\Rightarrow t=0",
    ),
    *for_both_prompts(
        background,
        "reliance-grows-with-correlation-%s",
        "By %s a stronger correlation means more reliance.",
        ("reliance", "increasing", "p_spu"),
        source="soberclip T2, T3",
        formula=r"p\mapsto t(p)\ \mathrm{increasing}",
    ),
    t2(
        id="captions-mentioning-background-hurt-mean",
        question="prompts",
        source="soberclip T2; compare Xue et al., section 5",
        statement=(
            "By average caption, captions that mention the background more often mean more"
            " reliance."
        ),
        formula=r"\pi_{\mathrm{spu}}\mapsto t_{\mathrm{mean}}\ \mathrm{increasing}",
        **says(LINEAR_MEAN, "reliance", "increasing", "mention_spu"),
    ),
    t2(
        id="prompt-matters",
        question="prompts",
        statement=(
            "Linear CLIP relies on the background by average caption at least as much as by typical"
            " appearance."
        ),
        formula=r"t_{\mathrm{mean}}\geq t_{\mathrm{name}}",
        **says(LINEAR_MEAN, "reliance", ">=", LINEAR_NAME),
    ),
    background(
        id="bottleneck",
        source="soberclip T7",
        statement="Towers of width 1 keep only the latent of larger variance when p = 1/2.",
        formula=r"h=1,\ p=\frac{1}{2}:\ \cos^2(u,e_{\mathrm{larger}})\to 1",
        **says(LinearCLIP("mean", 1), "kept-axis", "=", 1.0),
        # beta >= 3 makes B - A = beta^2 + sigma_spu^2 - 1 - sigma_inv^2 >= 3.75, far from a tie.
        domain={**MODERATE, "p_spu": 0.5, "mu_spu": Axis(3.0, 4.0)},
    ),
    Claim(
        id="rate",
        question="pairs",
        source=f"soberclip; {WANG}, Lemma D.3 claims n^-1/4",
        statement=(
            "The minimiser's error on the latents falls as n^-1/2 from n = 1e4 to 1e10, by"
            " measurement alone."
        ),
        formula=r"\|\rho D_I^TM^*D_T-C\|\propto n^{-1/2}",
        **says(LINEAR_NAME, "operator-error", "slope", -0.5),
        reference=latent_cross_covariance,
        tolerance=0.05,
        along="n",
        grid=tuple(10.0**k for k in range(4, 11, 2)),
        # At p = .95, 1e4 pairs contain the rarer background 500 times; with fewer, the mean error
        # has no bound.
        domain=PAPER_WORLD | box(p_spu=(0.5, 0.95), sigma_xi=(0.0, 2.0), dim_image=16, dim_text=16),
    ),
    Claim(
        id="dimension-not-needed",
        question="pairs",
        source=f"soberclip, 1/n law; {WANG}, Theorem 6.2 asks d = Omega(n)",
        statement=(
            "At n = 1e5 the accuracy after training, by its exact law, equals that at n = infinity,"
            " for dimensions from 2 to 1000, far below n."
        ),
        formula=(
            r"|\mathbb{E}\,\mathrm{Acc}-\mathrm{Acc}_\infty|\leq \tau,\ 2\leq d\leq 10^3,\ n=10^5"
        ),
        **says(LINEAR_NAME, "counter", "=", lambda x: LINEAR_NAME.accuracy(x).counter),
        domain=PAPER_WORLD
        | box(sigma_xi=(0.0, 2.0), dim_image=ANY_DIMENSION, dim_text=lambda w: w.dim_image),
        n=10**5,
    ),
    limit(
        id="infonce-interpolates/no-noise",
        statement=(
            "As view noise vanishes, InfoNCE by typical appearance becomes the nearest prompt in"
            " latent space, which is perfectly robust."
        ),
        formula=r"\nu\to0:\ \mathrm{Acc}(a\neq y)\to\Phi(\mu_{\mathrm{inv}}/\sigma_{\mathrm{inv}})",
        domain={**INFONCE_WORLD, "sigma_xi": float(view_noise(1e-4, 2))},
        # w = q = (1, 0)
        **says(INFONCE_NAME, "counter", "=", lambda x: ndtr(1 / np.asarray(x.sigma_inv))),
    ),
    limit(
        id="infonce-interpolates/much-noise",
        statement="As view noise grows, InfoNCE becomes linear CLIP.",
        formula=r"\nu\to\infty:\ \mathrm{InfoNCE}\to x_I^T D_ICq/\nu^2",
        domain={**INFONCE_WORLD, "sigma_xi": float(view_noise(1e3, 2))},
        **says(INFONCE_NAME, "counter", "=", lambda x: LINEAR_NAME.accuracy(x).counter),
    ),
    many_classes(
        id="many-classes/name-reliance",
        statement="Reliance by typical appearance vanishes like 1/K.",
        formula=r"t_{\mathrm{name}}=\alpha\beta D/(\alpha^2+K\sigma_{\mathrm{inv}}^2)\propto1/K",
        **says(LINEAR_NAME, "reliance", "slope", -1.0),
        along="classes",
        grid=(16.0, 32.0, 64.0),
        domain={"sigma_xi": 0.0, "dim_image": 128, "dim_text": 128, **LATENTS, "p_spu": 1.0},
        tolerance=0.05,
    ),
    many_classes(
        id="many-classes/name-reliance-law",
        statement="Reliance of K classes by typical appearance is T8's formula.",
        formula=r"t_{\mathrm{name}}=\alpha\beta D/(\alpha^2+K\sigma_{\mathrm{inv}}^2)",
        **says(LINEAR_NAME, "reliance", "="),
        prediction=lambda x: T.many_class_reliance_name(
            1.0, x.mu_spu, x.sigma_inv, x.p_spu, x.classes
        ),
    ),
    many_classes(
        id="many-classes/mean-reliance-law",
        statement="Reliance of K classes by average caption is T8's formula.",
        formula=r"t_{\mathrm{mean}}=\beta D(\alpha^2+\kappa B_K)/(\alpha(A_K+\kappa\beta^2D^2))",
        **says(LINEAR_MEAN, "reliance", "="),
        prediction=lambda x: T.many_class_reliance_mean(
            1.0, x.mu_spu, x.sigma_inv, x.sigma_spu, x.p_spu, x.classes
        ),
    ),
    many_classes(
        id="many-classes/mean-reliance-stays",
        statement=(
            "Where the background is the less noisy latent, the average caption relies on it, for"
            " every number of classes, at least as much as in the limit of many classes."
        ),
        formula=r"t_{\mathrm{mean}}(K)"
        r"\geq\kappa\beta\sigma_{\mathrm{spu}}^2/(\alpha\sigma_{\mathrm{inv}}^2)"
        r"=\lim_{K\to\infty}t_{\mathrm{mean}}(K),\ p=1",
        **says(LINEAR_MEAN, "reliance", ">="),
        prediction=lambda x: T.many_class_reliance_mean_limit(
            1.0, x.mu_spu, x.sigma_inv, x.sigma_spu, x.p_spu
        ),
        domain={**FEW_CLASSES, "p_spu": 1.0, "sigma_spu": Axis(0.3, 1.5)},
    ),
    *(
        many_classes(
            id=f"many-classes/{subject.prompt}-closed-form",
            statement=(
                f"Counter accuracy of K classes by {prompt_row(subject.prompt).words} equals the"
                " closed form."
            ),
            formula=r"\mathbb{E}\,\Phi(t+\frac{u\alpha-v\beta}{s})\Phi(t+\frac{u\alpha}{s})^{K-2}",
            **says(subject, "counter", "=", partial(printed_counter, prompt=subject.prompt)),
        )
        for subject in LINEAR_BOTH
    ),
]
