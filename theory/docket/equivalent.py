"""Equivalent correlation p', shortfall r, and effective robustness: which ideal classifier does a
learner act like?

p' and r are those of `theory.ideal_curve`. With two classes and p >= 1/2, by typical appearance,
InfoNCE has 1/2 <= p' <= p. Proof for mu_inv, mu_spu > 0: x and s are the image's coordinates of
object and background, S_i and S_s their variances, and D = 2p - 1. At every s both InfoNCE and the
Bayes rule decide by a threshold of x. The log odds that InfoNCE takes from the background are 2
atanh(D tanh(b s)), b = mu_spu/(S_s + nu_I sigma_spu^2/nu_T). Bayes has mu_spu/S_s for b, so they
are no smaller. The log odds that InfoNCE takes from the object are Bayes' 2 mu_inv x/S_i or larger
in size. So InfoNCE's threshold has the sign of Bayes' and at most its size. The drop is a mean over
s > 0 of an odd increasing function of the threshold. So it is at most Bayes' drop, and at least 0.

Effective robustness is the lead in counter accuracy over a family of learners with the same common
accuracy. Least squares, trained at all p from 1/2 to 1, is each linear rule that relies on the
background no more than LDA at p = 1; so is logistic regression. Both make the same family.
"""

from functools import partial

from simulator.world import view_noise
from theory.claims.claim import Axis, Claim
from theory.docket.clip_vs_supervised import (
    MAP_DOMAIN,
    MAP_REGIME,
    MAP_VIEW_NOISE,
    NO_MORE,
    with_prompt,
)
from theory.docket.common import ANY_CORRELATION, BARE, REGIME, box, equivalent_of, says
from theory.docket.related_work import LITTLE, LITTLE_ELSE, READ_AS
from theory.docket.sentences import reading
from theory.docket.subjects import (
    INFONCE_NAME,
    LEAST_SQUARES,
    LINEAR_BOTH,
    LINEAR_MEAN,
    LINEAR_NAME,
    LOGISTIC,
)
from theory.learners import InfoNCE

# Backgrounds as strong as the object or stronger, and noise nu of .125 to 1.1 in both views.
NOISY_VIEWS = BARE | box(
    p_spu=(0.7, 0.95),
    mu_spu=(1.0, 2.5),
    sigma_inv=(0.5, 2.0),
    sigma_spu=(0.3, 1.0),
    sigma_xi=(0.5, 1.5),
)
OWN_TEXT_NOISE = {**NOISY_VIEWS, "sigma_xi_text": Axis(0.5, 1.5)}
# Clean captions of noisy images with a clear object: where InfoNCE prompted with typical appearance
# falls furthest short.
CLEAN_CAPTIONS = BARE | box(
    p_spu=Axis(0.9, 1 - 1e-4, "one-minus"),
    mu_spu=(2.0, 4.0),
    sigma_inv=(0.3, 0.7),
    sigma_spu=(0.5, 1.5),
    sigma_xi=(1.0, 3.0),
    sigma_xi_text=(0.3, 1.0),
)
# Noise of .07 per coordinate in 14 further dimensions: after 200 pairs it costs more than a point.
WIDE_VIEWS = {**NOISY_VIEWS, "sigma_xi": 1.0, "dim_image": 16, "dim_text": 16}
ANY_BACKGROUND = BARE | box(
    p_spu=ANY_CORRELATION, mu_spu=(0.3, 4.0), sigma_inv=(0.3, 3.0), sigma_spu=(0.1, 2.0)
)
HALF_A_POINT, ONE_POINT = 0.005, 0.01
# r of linear rules with less reliance than LDA; a numerical maximum, rounded up
LARGEST_LINEAR = 0.00785

own = partial(Claim, question="ideal", source="soberclip T10")
lead = partial(Claim, question="ideal", against=LEAST_SQUARES)
IN_REGIME = (INFONCE_NAME, float(view_noise(MAP_VIEW_NOISE, 2)))  # InfoNCE needs some view noise


def logistic_shortfall(worlds):
    """r of logistic regression."""
    return equivalent_of(worlds, LOGISTIC).shortfall


CLAIMS = [
    own(
        id="equivalent/name-below-data",
        statement=(
            "By typical appearance, the InfoNCE optimum acts like the ideal classifier of a world"
            " with at most the correlation of its own world."
        ),
        formula=r"p'\leq p",
        **says(INFONCE_NAME, "equivalent-correlation", "<=", lambda x: x.p_spu, OWN_TEXT_NOISE),
    ),
    own(
        id="equivalent/name-above-half",
        statement=(
            "By typical appearance, the InfoNCE optimum acts like the ideal classifier of a world"
            " with a correlation of at least 1/2."
        ),
        formula=r"p'\geq\frac{1}{2}",
        **says(INFONCE_NAME, "equivalent-correlation", ">=", 0.5, OWN_TEXT_NOISE),
    ),
    own(
        id="equivalent/mean-below-data",
        statement=(
            "Prompted with the average caption, the InfoNCE optimum acts like the ideal classifier"
            " of a world with at most the correlation of its own world."
        ),
        formula=r"p'_{\mathrm{mean}}\leq p",
        **says(InfoNCE("mean"), "equivalent-correlation", "<=", lambda x: x.p_spu, OWN_TEXT_NOISE),
    ),
    own(
        id="equivalent/mean-above-data",
        statement=(
            "In the regime of [W] Theorem 6.2 with some noise of the background, prompted with the"
            " average caption, linear CLIP acts like the ideal classifier of a world with at least"
            " the correlation of its own world."
        ),
        formula=r"p'_{\mathrm{mean}}\geq p",
        **says(LINEAR_MEAN, "equivalent-correlation", ">=", lambda x: x.p_spu),
        domain={**REGIME, "sigma_spu": Axis(lambda x: 0.1 * x.sigma_inv, lambda x: x.sigma_inv)},
    ),
    own(
        id="equivalent/finite-pairs",
        statement=(
            "After 200 pairs linear CLIP (typical appearance) falls short of an ideal classifier on"
            " both groups."
        ),
        formula=r"r(n=200)\geq0",
        **says(LINEAR_NAME, "shortfall", ">=", 0.0, WIDE_VIEWS),
        n=200,
    ),
    own(
        id="equivalent/name-shortfall",
        statement=(
            "With equal noise in both views, the InfoNCE optimum by typical appearance is at most"
            " half a point short of an ideal classifier on each group."
        ),
        formula=r"\nu_T=\nu_I\Rightarrow r\leq.005",
        **says(
            INFONCE_NAME, "shortfall", "<=", HALF_A_POINT, {**NOISY_VIEWS, "p_spu": Axis(0.7, 1.0)}
        ),
    ),
    own(
        id="equivalent/name-shortfall-clean-captions",
        statement=(
            "With less noise in the captions than in the images, the InfoNCE optimum by typical"
            " appearance is at most half a point short of an ideal classifier on each group."
        ),
        formula=r"\nu_T<\nu_I\Rightarrow r\leq.005",
        **says(INFONCE_NAME, "shortfall", "<=", HALF_A_POINT, CLEAN_CAPTIONS),
        tolerance=0.001,
    ),
    own(
        id="equivalent/name-below-logistic",
        statement=(
            "With less noise in the captions than in the images, the InfoNCE optimum by typical"
            " appearance falls no shorter than logistic regression on labels."
        ),
        formula=r"r\leq r_{\mathrm{logistic}}",
        **says(INFONCE_NAME, "shortfall", "<=", logistic_shortfall, CLEAN_CAPTIONS),
        tolerance=0.001,
    ),
    own(
        id="equivalent/linear-shortfall",
        statement=(
            "Linear rules that rely on the background less than LDA are at most .785 points short:"
            " least squares at any correlation."
        ),
        formula=r"0\leq t\leq t_{\mathrm{LDA}}\Rightarrow r\leq.00785",
        **says(LEAST_SQUARES, "shortfall", "<=", LARGEST_LINEAR, ANY_BACKGROUND),
        tolerance=0.001,
    ),
    own(
        id="equivalent/linear-shortfall-clip",
        statement=(
            "Linear CLIP by typical appearance, which may rely on the background more than LDA, is"
            " at most .785 points short."
        ),
        formula=r"r\leq.00785",
        **says(LINEAR_NAME, "shortfall", "<=", LARGEST_LINEAR, ANY_BACKGROUND),
        tolerance=0.001,
    ),
    *(
        lead(
            id=f"effective-robustness{suffix}/none-{learner.name}-{learner.prompt}",
            quantifier=quantifier,
            **reading(
                NO_MORE,
                "Theorem 6.2's regime, and effective robustness over supervised linear rules, are"
                " ours",
            ),
            statement=(
                f"In the theorem's regime {with_prompt(learner)}{words} has no more counter"
                " accuracy than supervised linear rules with its common accuracy."
            ),
            formula=r"k\leq k_{\mathrm{LS}}(c)",
            **says(learner, "effective-robustness", "<=", 0.0, {**MAP_REGIME, "sigma_xi": noise}),
            tolerance=ONE_POINT if learner == INFONCE_NAME else None,
        )
        for suffix, quantifier, words in READ_AS
        for learner, noise in (*((linear, 0.0) for linear in LINEAR_BOTH), IN_REGIME)
    ),
    *(
        lead(
            id=f"effective-robustness{suffix}/little-{learner.name}",
            quantifier=quantifier,
            **reading(LITTLE_ELSE, "the domain, two points and the family are ours"),
            statement=(
                f"To two points, {with_prompt(learner)}{words} has the counter accuracy of"
                " supervised linear rules with its common accuracy."
            ),
            formula=r"|k-k_{\mathrm{LS}}(c)|\leq.02",
            **says(learner, "effective-robustness", "=", 0.0, {**MAP_DOMAIN, "sigma_xi": noise}),
            tolerance=LITTLE,
        )
        for suffix, quantifier, words in READ_AS
        for learner, noise in ((LINEAR_NAME, 0.0), (INFONCE_NAME, 1.0))
    ),
    *(
        Claim(
            question="ideal",
            id=f"beside-supervised{suffix}/no-lower-{learner.name}",
            quantifier=quantifier,
            **reading(
                NO_MORE,
                "Theorem 6.2's regime, the equivalent correlation and least squares are ours",
            ),
            statement=(
                f"In the theorem's regime {with_prompt(learner)} acts like the ideal classifier of"
                " a world with at least the correlation that least squares acts"
                f" like{words.rstrip(',')}."
            ),
            formula=r"p'\geq p'_{\mathrm{LS}}",
            **says(
                learner,
                "equivalent-correlation",
                ">=",
                LEAST_SQUARES,
                {**MAP_REGIME, "sigma_xi": noise},
            ),
        )
        for (suffix, quantifier, words), (learner, noise) in (
            (READ_AS[0], (LINEAR_NAME, 0.0)),
            *((read_as, IN_REGIME) for read_as in READ_AS),
        )
    ),
    *(
        Claim(
            question="ideal",
            id=f"beside-supervised{suffix}/alike-infonce",
            quantifier=quantifier,
            **reading(
                LITTLE_ELSE,
                "the domain, the equivalent correlation, .02 and least squares are ours",
            ),
            statement=(
                "To .02, the InfoNCE optimum (typical appearance) acts like the ideal classifier"
                f" of the same correlation as least squares{words.rstrip(',')}."
            ),
            formula=r"|p'-p'_{\mathrm{LS}}|\leq.02",
            **says(
                INFONCE_NAME,
                "equivalent-correlation",
                "=",
                LEAST_SQUARES,
                {**MAP_DOMAIN, "sigma_xi": 1.0},
            ),
            tolerance=LITTLE,
        )
        for suffix, quantifier, words in READ_AS
    ),
    lead(
        id="effective-robustness/name-none",
        source="soberclip T10",
        statement=(
            "Where 70 to 95 % of the backgrounds match, InfoNCE by typical appearance has no more"
            " counter accuracy than supervised linear rules with its common accuracy."
        ),
        formula=r"k\leq k_{\mathrm{LS}}(c)",
        **says(INFONCE_NAME, "effective-robustness", "<=", 0.0, NOISY_VIEWS),
    ),
    lead(
        id="effective-robustness/name-never-less",
        source="soberclip T10",
        statement=(
            "Where 70 to 95 % of the backgrounds match, InfoNCE by typical appearance has no less"
            " counter accuracy than supervised linear rules with its common accuracy."
        ),
        formula=r"k\geq k_{\mathrm{LS}}(c)",
        **says(INFONCE_NAME, "effective-robustness", ">=", 0.0, NOISY_VIEWS),
        tolerance=ONE_POINT,
    ),
]
