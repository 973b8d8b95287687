"""What related papers say about robustness, where worlds of one object and one background can
decide it.

Except for [W], only abstracts were read, in the versions that the sources name. The domains are
ours: the papers are about photos and data sets. `untried.toml` lists the statements that no world
here decides.
"""

from functools import partial

import numpy as np

from simulator.accuracy import Numbers
from simulator.prompts import prompt_row
from theory.claims.claim import Axis, Claim
from theory.docket.clip_vs_supervised import MAP_DOMAIN, MAP_REGIME
from theory.docket.common import (
    ANY_CORRELATION,
    BARE,
    COUNTER,
    MODERATE,
    box,
    for_both_prompts,
    says,
)
from theory.docket.sentences import reading
from theory.docket.subjects import (
    INFONCE_NAME,
    LEAST_SQUARES,
    LINEAR_BOTH,
    LINEAR_MEAN,
    LINEAR_NAME,
)
from theory.learners import Learner
from theory.published import WANG

LITTLE_ELSE = "fang-other-factors-little"
LITTLE = 0.02  # difference of accuracies: our reading of "little"

CAPTIONS = {**MODERATE, "p_spu": Axis(0.6, 0.95), "mention_spu": Axis(0.3, 1.0)}
NOISY_CAPTIONS = BARE | box(
    p_spu=(0.6, 0.95),
    mu_spu=(0.5, 2.5),
    sigma_inv=1.0,
    sigma_spu=0.5,
    sigma_xi=1.0,
    sigma_xi_text=(0.0, 2.0),
)
# Here least squares is wrong on most of the counter group at n = infinity.
FOOLED = BARE | box(
    p_spu=(0.9, 0.97), mu_spu=(2.0, 3.0), sigma_inv=(1.0, 1.5), sigma_spu=(0.1, 0.5)
)


def best_source(x, learner: Learner) -> Numbers:
    """Counter accuracy of the better of two sources whose half and half mixture is the world x.

    The sources differ only in their correlation, as far apart as their mean allows. Reliance has
    one peak in p (T3), so it is never below its values at both sources.
    """
    reach = np.minimum(np.asarray(x.p_spu) - 0.5, 1 - np.asarray(x.p_spu))
    sources = (x.replace(p_spu=np.clip(x.p_spu + sign * reach, 0.5, 1.0)) for sign in (-1, 1))
    return np.maximum(*(learner.accuracy(source).counter for source in sources))


OURS = "soberclip; Santurkar et al. 2022"
HURT = reading(
    "santurkar-captions-hurt", "captions that mention the object in a fifth of pairs are ours"
)
NOISY_DATA = reading(
    "sanyal-noisy-data", "that learners rely more on the background, and the domain, are ours"
)
# "Little" may mean little in every world, or little on average, where gains and losses cancel.
READ_AS = (("", "always", ""), ("-on-average", "on average", ", on average over worlds,"))
captions = partial(Claim, question="prompts")
remedy = partial(Claim, question="mitigations")
little = partial(Claim, tolerance=LITTLE, domain=MAP_DOMAIN)

CLAIMS = [
    *(
        little(
            id=f"data-determine{suffix}/contrastive-loss",
            question="supervised",
            quantifier=quantifier,
            **reading(LITTLE_ELSE, "of the contrastive loss; the domain and two points are ours"),
            statement=(
                "On the same pairs linear CLIP (typical appearance) and least squares on labels"
                f" are{words} equally accurate on the counter group, to two points."
            ),
            formula=rf"|{COUNTER}_{{\mathrm{{CLIP}}}}-{COUNTER}_{{\mathrm{{LS}}}}|\leq .02",
            **says(LINEAR_NAME, "counter", "=", LEAST_SQUARES),
        )
        for suffix, quantifier, words in READ_AS
    ),
    *(
        little(
            id=f"data-determine{suffix}/language-at-test-time",
            question="prompts",
            quantifier=quantifier,
            **reading(
                LITTLE_ELSE,
                "of language supervision at test time; the domain and two points are ours",
            ),
            statement=(
                f"By typical appearance and by average caption linear CLIP is{words} equally"
                " accurate on the counter group, to two points."
            ),
            formula=rf"|{COUNTER}_{{\mathrm{{name}}}}-{COUNTER}_{{\mathrm{{mean}}}}|\leq .02",
            **says(LINEAR_NAME, "counter", "=", LINEAR_MEAN),
        )
        for suffix, quantifier, words in READ_AS
    ),
    remedy(
        id="data-determine/training-distribution",
        **reading(
            "fang-main-cause", "that diversity is a weaker correlation, and the domain, are ours"
        ),
        statement=(
            "The more diverse the backgrounds of a class, the more accurate is least squares on"
            " labels on the counter group."
        ),
        formula=rf"p\mapsto{COUNTER}\ \mathrm{{decreasing}}",
        **says(LEAST_SQUARES, "counter", "decreasing", "p_spu", MODERATE),
    ),
    *(
        remedy(
            id=f"mixing-dilutes/{learner.prompt}",
            **reading(
                "nguyen-mixing-dilutes",
                "two sources that differ in correlation alone, as far apart as their mean allows,"
                " are ours",
            ),
            statement=(
                "Trained on two sources, half and half, linear CLIP is at most as accurate on the"
                " counter group as trained on the better source alone"
                f" ({prompt_row(learner.prompt).words})."
            ),
            formula=rf"{COUNTER}(p)\leq\max_\pm{COUNTER}(p\pm\delta)",
            **says(learner, "counter", "<=", partial(best_source, learner=learner)),
            domain={**MODERATE, "p_spu": Axis(0.55, 0.95)},
        )
        for learner in LINEAR_BOTH
    ),
    captions(
        id="captions-worth/descriptive",
        **reading(
            "santurkar-captions-help",
            "that descriptive captions mention the object, and the domain, are ours",
        ),
        statement=(
            "The more often captions mention the object, the less linear CLIP relies on the"
            " background (average caption); less reliance means a higher balanced accuracy (T1)."
        ),
        formula=r"\pi_{\mathrm{inv}}\mapsto t_{\mathrm{mean}}\ \mathrm{decreasing}",
        **says(
            LINEAR_MEAN,
            "reliance",
            "decreasing",
            "mention_inv",
            {**CAPTIONS, "mention_inv": Axis(0.2, 1.0)},
        ),
    ),
    captions(
        id="captions-worth/low-variability",
        **reading(
            "santurkar-captions-help",
            "that low variability is little noise, and the domain, are ours",
        ),
        statement=(
            "The noisier captions are, the less accurate is the InfoNCE optimum on the counter"
            " group (typical look)."
        ),
        formula=rf"\sigma_{{\xi,T}}\mapsto{COUNTER}\ \mathrm{{decreasing}}",
        **says(INFONCE_NAME, "counter", "decreasing", "sigma_xi_text", NOISY_CAPTIONS),
    ),
    # The sentence says that there are such settings. That all are is ours.
    *(
        captions(
            id=f"{family}/detrimental",
            **whose,
            statement=(
                f"With captions that rarely mention the object,{words} the balanced accuracy of"
                " linear CLIP is at most that of least squares on labels (average caption)."
            ),
            formula=(
                r"\pi_{\mathrm{inv}}\leq"
                r" .2:\ \mathrm{Acc}_{\mathrm{CLIP}}\leq\mathrm{Acc}_{\mathrm{LS}}"
            ),
            **says(LINEAR_MEAN, "balanced", "<=", LEAST_SQUARES),
            domain={**CAPTIONS, "mention_inv": Axis(0.05, 0.2), "mention_spu": 1.0},
        )
        for family, words, whose in (
            (
                "captions-worth",
                "",
                {"source": f"{OURS} speaks of some settings, this of all in a domain"},
            ),
            (
                "captions-worth-somewhere",
                " there are worlds in which",
                {**HURT, "quantifier": "somewhere"},
            ),
        )
    ),
    # Label noise: the object shown is another class's with probability 1 - p_inv.
    *(
        remedy(
            id=f"wrong-line/label-noise-{learner.name}",
            **whose,
            statement=(
                f"The more often labels are right, the less {learner.words} relies on the"
                " background."
            ),
            formula=r"p_{\mathrm{inv}}\mapsto t\ \mathrm{decreasing}",
            **says(learner, "reliance", "decreasing", "p_inv"),
            domain={**MODERATE, "p_spu": Axis(0.6, 0.95), "p_inv": Axis(0.6, 1.0)},
        )
        for learner, whose in (
            (LEAST_SQUARES, NOISY_DATA),
            (
                LINEAR_NAME,
                {
                    "source": (
                        "soberclip; Sanyal et al. 2024 is about classifiers on labels, not about"
                        " CLIP"
                    )
                },
            ),
        )
    ),
    Claim(
        id="wrong-line/more-data",
        question="pairs",
        **reading(
            "sanyal-larger-data-sets", "the learner, the numbers of pairs and the domain are ours"
        ),
        statement=(
            "Where least squares is wrong on most of the counter group, it is on average at least"
            " as accurate there after a hundred pairs as after unlimited pairs."
        ),
        formula=rf"\mathbb{{E}}\,{COUNTER}(n=100)\geq{COUNTER}(n=\infty)",
        **says(LEAST_SQUARES, "counter", ">=", lambda x: LEAST_SQUARES.accuracy(x).counter, FOOLED),
        n=100,
    ),
    Claim(
        id="sensitivity-grows",
        question="background",
        **reading(
            "wang-drops-quantify-reliance",
            "the correlation in training for reliance, and the domain, are ours",
        ),
        statement=(
            "The stronger the correlation in training, the larger the drop of linear CLIP (average"
            " caption)."
        ),
        formula=r"p\mapsto\mathrm{Acc}(a=y)-\mathrm{Acc}(a\neq y)\ \mathrm{increasing}",
        **says(LINEAR_MEAN, "drop", "increasing", "p_spu", {**MODERATE, "p_spu": ANY_CORRELATION}),
    ),
    *for_both_prompts(
        Claim,
        "imagenet-models-more-robust/%s",
        "In the theorem's regime least squares on labels drops no more from the common to the"
        " counter group than linear CLIP (%s).",
        ("drop", ">=", LEAST_SQUARES, MAP_REGIME),
        question="supervised",
        source=(
            f"soberclip; {WANG} compares models of two data sets in its abstract, here both learn"
            " one law, in Theorem 6.2's regime"
        ),
        formula=r"\mathrm{drop}_{\mathrm{CLIP}}\geq\mathrm{drop}_{\mathrm{LS}}",
    ),
]
