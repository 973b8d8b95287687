"""[X] Xue et al., as its abstract and [W] report it: data model 1, more robust than supervised
learning, and why.

[X]'s conditions made finite: mu_inv = mu_spu = 1; a core feature that varies within a class
(sigma_inv about 1), a spurious one that hardly does (sigma_spu small); the correlation strong.
"""

from theory.claims.claim import Axis, Claim
from theory.docket.common import BARE, PAPER_WORLD, box, for_both_prompts, says
from theory.docket.sentences import printed, reading
from theory.docket.subjects import LINEAR_MEAN, LINEAR_NAME, LOGISTIC
from theory.published import data_model_1_accuracies

# At p_spu = .995 the 1e5 pairs for logistic regression still contain 500 counterexamples.
CONDITIONS = BARE | box(mu_spu=1.0, sigma_inv=(1.0, 2.0), sigma_spu=(0.1, 0.3), p_spu=(0.99, 0.995))
CAPTIONS = BARE | box(
    p_spu=(0.6, 0.95),
    mu_spu=(0.5, 2.0),
    sigma_inv=(0.5, 2.0),
    sigma_spu=(0.1, 1.0),
    mention_inv=(0.3, 1.0),
    mention_spu=(0.3, 1.0),
)

CLAIMS = [
    *(
        Claim(
            id=f"xue-data-model-1/{group}",
            question="theorem",
            **printed("xue-data-model-1", "all correlations and variances are tried"),
            statement=f"At mu_spu = 1, accuracy on the {group} group equals the printed limit.",
            formula=r"\mathrm{Acc}\to 1-\Phi((\mp2p%s-\sigma_{\mathrm{inv}}^2)/R)"
            % ("" if which == 0 else "-2"),
            **says(LINEAR_NAME, group, "="),
            prediction=lambda x, which=which: data_model_1_accuracies(
                x.p_spu, x.sigma_inv, x.sigma_spu
            )[which],
            domain={**PAPER_WORLD, "mu_spu": 1.0},
        )
        for which, group in enumerate(("common", "counter"))
    ),
    *for_both_prompts(
        Claim,
        "xue-contrastive-more-robust/%s",
        "Under [X]'s conditions linear CLIP is at least as accurate on the counter group as"
        " logistic regression (%s).",
        ("counter", ">=", LOGISTIC, CONDITIONS),
        question="supervised",
        **reading(
            "xue-superior-accuracy",
            "logistic regression, the counter group and the numbers are ours",
        ),
        formula=(
            r"\mathrm{Acc}_{\mathrm{CLIP}}(a\neq y)\geq\mathrm{Acc}_{\mathrm{logistic}}(a\neq y)"
        ),
    ),
    *for_both_prompts(
        Claim,
        "xue-intra-class-contrasting/%s",
        "Linear CLIP relies more on a core feature that varies more within its class: reliance on"
        " the background falls as sigma_inv grows (%s).",
        ("reliance", "decreasing", "sigma_inv"),
        question="background",
        **reading(
            "xue-intra-class-contrasting", "reliance on the background and the domain are ours"
        ),
        formula=r"\sigma_{\mathrm{inv}}\mapsto t\ \mathrm{decreasing}",
        domain={**PAPER_WORLD, "p_spu": Axis(0.5, 0.95), "sigma_inv": Axis(0.5, 3.0)},
    ),
    Claim(
        id="xue-rich-captions",
        question="prompts",
        **reading(
            "xue-rich-captions",
            "that richer captions mention the core feature more often, and the domain, are ours",
        ),
        statement=(
            "Captions that mention the core feature more often raise accuracy on the counter group"
            " (average caption)."
        ),
        formula=r"\pi_{\mathrm{inv}}\mapsto\mathrm{Acc}(a\neq y)\ \mathrm{increasing}",
        **says(LINEAR_MEAN, "counter", "increasing", "mention_inv", CAPTIONS),
    ),
]
