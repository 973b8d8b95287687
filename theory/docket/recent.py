"""What papers of 2024 to 2026 say about zero-shot robustness, gaps, prompts, probes and drops.

As in `related_work`, only abstracts were read, and the domains are ours. Letters: alpha = mu_inv,
beta = mu_spu, a = alpha/sqrt(S_i), S_i = sigma_inv^2 + nu.

Mehta's formula is exact for the ideal classifier where images show their background without doubt:
given the background the odds of the classes are r = p/(1 - p) = (1 + D)/(1 - D), D = 2p - 1. So the
accuracy on counter images, where the background speaks against the class, is that of the rare class
of an imbalance r, Phi(a - log r/(2a)). For any other learner p' takes the place of p, up to what it
lacks on both groups.
"""

from functools import partial

import numpy as np
from scipy.special import ndtr

from simulator.accuracy import Numbers
from theory.accuracy import reliance
from theory.claims.claim import Axis, Claim
from theory.docket.common import (
    COUNTER,
    FIRST_PAGE,
    MODERATE,
    NARROW_VIEWS,
    box,
    equivalent_of,
    for_both_prompts,
    says,
)
from theory.docket.detail import ANY_WORLD, TURNING
from theory.docket.gap import GapClosed
from theory.docket.remedies import NARROW, SPURIOUS
from theory.docket.sentences import reading
from theory.docket.separating import Separating
from theory.docket.subjects import BAYES, INFONCE_NAME, LEAST_SQUARES, LINEAR_NAME, LOGISTIC
from theory.learners import InfoNCE, Learner, LinearCLIP

BARE_NAME = InfoNCE("bare")
NARROW_PAGE = FIRST_PAGE | NARROW_VIEWS
ON_TABLE = {name: given for name, given in MODERATE.items() if name != "p_spu"}
RARE, EQUAL = "long-tail(4, 2, 2)", "diagonal(0.9)"
# The family of prompts (1, b), and prompts that differ in how much they tell of the object.
WITH_BACKGROUNDS = Separating(tuple((1.0, b) for b in (-1.0, -0.5, 0.0, 0.5, 1.0)))
LOOK = Separating()  # the typical appearance alone, on the same images as the others
OF_OBJECTS = Separating(((0.5, 0.5), (1.0, 0.5), (2.0, 0.5)))
ONE_OF_THEM = Separating(((1.0, 0.5),))
STRONG_OBJECT = SPURIOUS | box(mu_spu=(0.3, 0.6), sigma_inv=(1.0, 2.0), sigma_spu=(0.1, 0.5))
# Two backgrounds, both matching in nine of ten images. One looks the same everywhere, the other
# varies.
STEADY = {"mu": Axis(0.8, 1.0), "sigma": Axis(0.2, 0.4), "p": 0.9}
VARIED = {"mu": Axis(1.2, 1.4), "sigma": Axis(1.5, 2.5), "p": 0.9}


def two_backgrounds(tested: dict, other: dict) -> dict:
    """The domain whose groups are those of the first background."""
    own = {f"{name}_spu": given for name, given in tested.items()}
    return {"sigma_xi": 0.0, **own, **{f"attribute.{name}": given for name, given in other.items()}}


def drop_on_the_other(x, learner: Learner) -> Numbers:
    """The drop between the groups of the second background."""
    (second,) = x.attribute
    swapped = second.replace(mu=x.mu_spu, sigma=x.sigma_spu, p=x.p_spu)
    return learner.accuracy(
        x.replace(mu_spu=second.mu, sigma_spu=second.sigma, p_spu=second.p, attribute=(swapped,))
    ).drop


def of_rare_class(x, share: Numbers) -> Numbers:
    """Accuracy on the rarer of two classes with these odds share/(1 - share), backgrounds aside."""
    a = x.mu_inv / np.sqrt(x.sigma_inv**2 + x.nu_image)
    return ndtr(a - np.log(share / (1 - share)) / (2 * a))


supervised = partial(Claim, question="supervised")
unchanged = partial(Claim, question="pairs", tolerance=0.01)
gap = partial(Claim, question="mitigations")
# The counter group is the worse one: u = A q of every prompt here has t >= 0 where it is chosen.
separated = partial(Claim, question="prompts")
formula = partial(Claim, question="ideal", tolerance=0.03)
CLEAR = {**SPURIOUS, "mu_spu": Axis(2.0, 3.0), "sigma_spu": Axis(0.1, 0.5)}
CLEARLY = ("clear", "Where backgrounds are clear", CLEAR)
background = partial(Claim, question="background")

CLAIMS = [
    supervised(
        id="zero-shot-no-better/bare-name",
        **reading(
            "setlur-no-better",
            "InfoNCE by bare name, Bayes' rule for ERM, and the first page's world are ours",
        ),
        statement=(
            "In the world of the first page, and with some bare captions, InfoNCE prompted with the"
            " bare name is no more accurate on the counter group than the Bayes rule of the"
            " training law."
        ),
        meaning=(
            'Zero-shot by "a photo of a bear" is as robust as the best classifier of your labels,'
            " and no more."
        ),
        formula=rf"b>0\Rightarrow{COUNTER}_{{\mathrm{{bare}}}}\leq{COUNTER}_{{\mathrm{{Bayes}}}}",
        **says(BARE_NAME, "counter", "<=", BAYES, {**FIRST_PAGE, "bare": 0.5}),
    ),
    supervised(
        id="zero-shot-no-better/typical-look",
        **reading(
            "setlur-no-better",
            "linear CLIP by typical appearance, least squares for ERM, and the domain are ours",
        ),
        statement=(
            "Around the world of the first page, with captions that describe every appearance,"
            " linear CLIP (typical appearance) is no more accurate on the counter group than least"
            " squares."
        ),
        meaning="Captions that tell every look make zero-shot more robust than labels do.",
        formula=rf"g=1\Rightarrow{COUNTER}_{{\mathrm{{CLIP}}}}\leq{COUNTER}_{{\mathrm{{LS}}}}",
        **says(LINEAR_NAME, "counter", "<=", LEAST_SQUARES, TURNING),
    ),
    # Linear CLIP leans on backgrounds as classifiers of labels do once hardly any caption tells a
    # look.
    *(
        supervised(
            id=f"zero-shot-no-better/{word}-bare",
            **reading(
                "setlur-no-better",
                "linear CLIP, 10,000 pairs, logistic regression and the world are ours",
            ),
            statement=(
                f"In the world of the first page, with {share} of captions bare, linear CLIP by"
                " bare name is on ten thousand pairs no more accurate on the counter group than"
                " logistic regression on unlimited labels."
            ),
            meaning=meaning,
            formula=(
                rf"b={bare}:\ {COUNTER}_{{\mathrm{{CLIP}}}}(n=10^4)"
                rf"\leq{COUNTER}_{{\mathrm{{logistic}}}}"
            ),
            domain={**NARROW_PAGE, "bare": bare},
            **says(LinearCLIP("bare"), "counter", "<=", lambda x: LOGISTIC.accuracy(x).counter),
            n=10_000,
        )
        for word, share, bare, meaning in (
            (
                "mostly",
                "nine tenths",
                0.9,
                "Captions that are mere names make zero-shot no more robust than labels.",
            ),
            (
                "half",
                "half",
                0.5,
                "If half of the captions tell looks, zero-shot beats labels on odd backgrounds.",
            ),
        )
    ),
    supervised(
        id="scale-changes-nothing/lead-over-labels",
        **reading(
            "setlur-scale",
            "linear CLIP by typical appearance, its lead over least squares, and the world are"
            " ours",
        ),
        statement=(
            "In the world of the first page, the lead of linear CLIP by typical appearance over"
            " least squares on the counter group changes by at most a tenth from ten thousand to a"
            " trillion pairs."
        ),
        meaning=(
            "Scale decides neither who is more robust nor by how much: what captions tell does."
        ),
        formula=rf"|{COUNTER}_{{\mathrm{{CLIP}}}}-{COUNTER}_{{\mathrm{{LS}}}}|\propto n^0",
        **says(LINEAR_NAME, "counter", "slope", LEAST_SQUARES),
        along="n",
        # a mean over a thousand has no bound; they show the rarest images a hundred times
        grid=(1e4, 1e8, 1e12),
        tolerance=0.005,  # per factor e; eight decades are 18 of them
        domain=NARROW_PAGE,
    ),
    unchanged(
        id="scale-changes-nothing/pairs",
        **reading(
            "setlur-scale", "linear CLIP, p', a thousand pairs and the first page's world are ours"
        ),
        statement=(
            "In the world of the first page, linear CLIP (typical appearance) has the same p' after"
            " a thousand pairs as after unlimited pairs, to .01."
        ),
        meaning="More pairs of the same kind do not make CLIP lean less on the background.",
        formula=r"p'(n=10^3)=p'(n=\infty)",
        **says(
            LINEAR_NAME,
            "equivalent-correlation",
            "=",
            lambda x: equivalent_of(x, LINEAR_NAME).correlation,
        ),
        domain=FIRST_PAGE,
        n=1000,
    ),
    unchanged(
        id="scale-changes-nothing/few-pairs",
        **reading(
            "setlur-scale",
            "linear CLIP, the common group, thirty pairs and the first page's world are ours",
        ),
        statement=(
            "In the world of the first page, linear CLIP (typical appearance) is as accurate on the"
            " common group after thirty pairs as after unlimited pairs, to a point."
        ),
        meaning=(
            "With few pairs, more of them do help: on both groups, until noise is averaged out."
        ),
        formula=r"\mathbb{E}\,\mathrm{Acc}(a=y)(n=30)=\mathrm{Acc}(a=y)(n=\infty)",
        **says(LINEAR_NAME, "common", "=", lambda x: LINEAR_NAME.accuracy(x).common, FIRST_PAGE),
        n=30,
    ),
    unchanged(
        id="scale-changes-nothing/width",
        **reading(
            "setlur-scale",
            "linear CLIP, the width of its embedding for model size, and the domain are ours",
        ),
        statement=(
            "Linear CLIP of embedding width 1 is as accurate on the counter group as at full width,"
            " to a point (typical appearance)."
        ),
        meaning=(
            "Too narrow an embedding leans on whatever varies most; beyond the number of latents"
            " width is free."
        ),
        formula=rf"{COUNTER}_{{h=1}}={COUNTER}",
        **says(LINEAR_NAME, "counter", "=", NARROW, SPURIOUS),
    ),
    # What an imbalance of information between images and captions drives. Of the gap see
    # untried.toml.
    background(
        id="imbalance-drives-object-bias/first-mode",
        **reading(
            "schrodi-imbalance",
            "mentions as information, the first mode, reliance and the domain are ours",
        ),
        statement=(
            "The more seldom captions mention the background, the less the first mode of linear"
            " CLIP relies on it beside the object."
        ),
        meaning=(
            "What captions leave out is learned late: captions of objects alone make embeddings of"
            " objects."
        ),
        formula=r"\pi_{\mathrm{spu}}\mapsto t_1\ \mathrm{increasing}",
        **says(
            NARROW,
            "reliance",
            "increasing",
            "mention_spu",
            {**SPURIOUS, "mention_spu": Axis(0.2, 1.0)},
        ),
    ),
    background(
        id="imbalance-drives-object-bias/typical-look",
        **reading(
            "schrodi-imbalance",
            "mentions as information, half of them, .05 and the domain are ours",
        ),
        statement=(
            "If half of the captions leave the background out, linear CLIP by typical appearance"
            " relies on it less, by .05 at least, than if all mention it."
        ),
        meaning=(
            "At the end of training, and prompted with a typical appearance, it does not matter how"
            " often backgrounds are mentioned."
        ),
        formula=r"\pi_{\mathrm{spu}}=\frac{1}{2}:\ t\leq t_{\pi=1}-.05",
        **says(LINEAR_NAME, "reliance", "<="),
        prediction=lambda x: reliance(LINEAR_NAME.direction(x.replace(mention_spu=1.0))) - 0.05,
        domain={**SPURIOUS, "mention_spu": 0.5},
    ),
    *(
        gap(
            id=f"closing-the-gap/orthogonal-{moved}",
            **reading(
                "chowers-gap",
                "balanced linear towers, a gap of its own coordinate and the domain are ours",
            ),
            statement=(
                f"With classes equally frequent, moving {moved} over a gap that is orthogonal to"
                " all embeddings does not change linear CLIP's accuracy on the common group"
                " (typical appearance)."
            ),
            meaning=(
                "A gap that is one offset for all classes costs nothing, and closing it gains"
                " nothing."
            ),
            formula=r"v\perp f,g\Rightarrow\mathrm{Acc}_{f+v}=\mathrm{Acc}_f",
            domain=ON_TABLE,
            table=EQUAL,
            **says(
                GapClosed("name", moved), "common", "=", lambda x: LINEAR_NAME.accuracy(x).common
            ),
        )
        for moved in ("images", "captions")
    ),
    gap(
        id="closing-the-gap/rare-class",
        **reading(
            "chowers-gap", "balanced linear towers, a class in seventeen, and the domain are ours"
        ),
        statement=(
            "With one class sixteen times as frequent as the other, and captions that mention the"
            " object in half of pairs at most, moving images over the gap does not change linear"
            " CLIP's accuracy (typical appearance)."
        ),
        meaning=(
            "Where a class is rare, the gap points along the classes, and closing it moves every"
            " decision."
        ),
        formula=r"v\not\perp g\Rightarrow\mathrm{Acc}_{f+v}=\mathrm{Acc}_f",
        domain={"mu_spu": Axis(0.5, 3.0), "sigma_xi": 0.0, "mention_inv": Axis(0.2, 0.5)},
        table=RARE,
        **says(
            GapClosed("name", "images"), "common", "=", lambda x: LINEAR_NAME.accuracy(x).common
        ),
    ),
    separated(
        id="largest-separation/strong-object",
        **reading(
            "sage-separation",
            "linear CLIP, three prompts, one choice for all images and the domain are ours",
        ),
        statement=(
            "Where the object varies more than the background, the most separating of three"
            " prompts, which differ in how much they tell of the object, is at least as accurate on"
            " the counter group as the middle one."
        ),
        meaning=(
            "If your classes stand out more than backgrounds, prompts that separate more are the"
            " safer ones."
        ),
        formula=r"q^*=\mathrm{argmax}\,\frac{|u'x|}{|W_Tq|}",
        **says(OF_OBJECTS, "counter", ">=", ONE_OF_THEM, STRONG_OBJECT),
    ),
    separated(
        id="largest-separation/any-background",
        **reading(
            "sage-separation",
            "linear CLIP, three prompts, one choice for all images and the domain are ours",
        ),
        statement=(
            "However strong the background, the most separating of three prompts, which differ in"
            " how much they tell of the object, is at least as accurate on the counter group as the"
            " middle one."
        ),
        meaning=(
            "Where backgrounds stand out more, the most separating prompt separates backgrounds."
        ),
        formula=r"q^*=\mathrm{argmax}\,\frac{|u'x|}{|W_Tq|}",
        **says(OF_OBJECTS, "counter", ">=", ONE_OF_THEM, SPURIOUS),
    ),
    separated(
        id="largest-separation/backgrounds-named",
        source="soberclip T2; the choice is that of Ye et al., arXiv 2511.13005",
        statement=(
            "Of prompts of a typical appearance on a multiple of the usual background, from -1 to"
            " 1, the most separating one is never more accurate on the counter group than the"
            " typical appearance alone."
        ),
        meaning="Do not choose by separation between prompts that name backgrounds.",
        formula=r"q_b=(\alpha,b\beta):\ \mathrm{Acc}_{b^*}\leq\mathrm{Acc}_{b=0}",
        **says(WITH_BACKGROUNDS, "counter", "<=", LOOK, SPURIOUS),
    ),
    *for_both_prompts(
        supervised,
        "probes-beat-names/balanced/%s",
        "At every detail of captions, linear CLIP relies on the background at least as much as a"
        " probe of its image embeddings on balanced labels, which relies on none (%s).",
        ("reliance", ">=", 0.0, ANY_WORLD),
        **reading(
            "dai-visual",
            "embeddings with all latents, balanced labels, reliance and the domain are ours",
        ),
        meaning="A linear probe on balanced images is the most robust use of CLIP's images.",
        formula=r"t\geq 0",
    ),
    supervised(
        id="probes-beat-names/same-data",
        **reading(
            "dai-visual",
            "a probe by least squares on the labels of the same pairs, and the domain are ours",
        ),
        statement=(
            "With captions that describe every appearance, linear CLIP (typical appearance) is at"
            " most as accurate on the counter group as a probe of its image embeddings that is"
            " fitted to the labels of the same pairs."
        ),
        meaning=(
            "A probe on images with the same backgrounds can lean on them more than a prompt does."
        ),
        formula=rf"{COUNTER}\leq{COUNTER}_{{\mathrm{{LS}}}}",
        **says(LINEAR_NAME, "counter", "<=", LEAST_SQUARES, SPURIOUS),
    ),
    *(
        formula(
            id=f"correlation-as-imbalance/{where}-{learner.name}",
            **reading(
                "mehta-imbalance",
                f"{learner.words}, an imbalance of two classes and the domain are ours",
            ),
            statement=(
                f"{words}, {learner.words} is as accurate on the counter group as on the rarer of"
                " two classes with the ratio (1 + D)/(1 - D), D = 2p - 1, to three points."
            ),
            meaning=meaning,
            formula=rf"{COUNTER}=\Phi(a-\frac{{\log r}}{{2a}}),\ r=\frac{{1+D}}{{1-D}}",
            **says(learner, "counter", "=", lambda x: of_rare_class(x, x.p_spu), domain),
        )
        for (where, words, domain), learner, meaning in (
            (
                CLEARLY,
                BAYES,
                (
                    "If backgrounds can be told at a glance, matching backgrounds cost as much as"
                    " rare classes do."
                ),
            ),
            (
                ("any", "However clear backgrounds are", SPURIOUS),
                BAYES,
                "Where backgrounds are hard to see, the formula says too much.",
            ),
            (
                CLEARLY,
                LEAST_SQUARES,
                "A linear classifier of your labels can lose far more than the formula says.",
            ),
            (
                CLEARLY,
                LINEAR_NAME,
                (
                    "The formula knows your data, and not what your captions tell: CLIP needs p'"
                    " in it."
                ),
            ),
        )
    ),
    formula(
        id="correlation-as-imbalance/equivalent",
        source="soberclip T10; the formula is that of Mehta, arXiv 2511.07485",
        statement=(
            "Where backgrounds are clear, InfoNCE prompted with the typical appearance is as"
            " accurate on the counter group as on the rarer of two classes with the ratio p'/(1 -"
            " p'), to three points."
        ),
        meaning=(
            "With p' in the place of p the formula holds for CLIP, too: p' is the imbalance that it"
            " acts on."
        ),
        formula=rf"{COUNTER}=\Phi(a-\frac{{\log r}}{{2a}}),\ r=\frac{{p'}}{{1-p'}}",
        domain={"mu_spu": 3.0, "sigma_xi": 6.0},
        **says(
            INFONCE_NAME,
            "counter",
            "=",
            lambda x: of_rare_class(x, equivalent_of(x, INFONCE_NAME).correlation),
        ),
    ),
    background(
        id="drops-quantify-reliance",
        **reading(
            "wang-drops-quantify-reliance",
            "two linear learners in one world, and the domain, are ours",
        ),
        statement=(
            "In one world, linear CLIP (typical appearance) drops more than least squares if and"
            " only if it relies more on the background."
        ),
        meaning="On one test set, drops order models as their reliance does.",
        formula=r"\mathrm{drop}>\mathrm{drop}_{\mathrm{LS}}\Leftrightarrow t>t_{\mathrm{LS}}",
        **says(LINEAR_NAME, "drop", "iff", LEAST_SQUARES, SPURIOUS),
        prediction=lambda x: (
            reliance(LINEAR_NAME.direction(x)) - reliance(LEAST_SQUARES.direction(x))
        ),
    ),
    # Two backgrounds: which one makes the groups of the test set decides who is the more robust.
    *(
        background(
            id=f"test-setups/{who}-select",
            source="soberclip; how test sets are made, [W] v2, abstract",
            statement=(
                "Of a background that looks the same everywhere and one that varies,"
                f" {learner.words} drops more between the groups of {which}."
            ),
            meaning=f"A test set that is made where {learner.words} fails is made of {which}.",
            formula=r"\mathrm{drop}\geq\mathrm{drop}_{\mathrm{other}}",
            **says(learner, "drop", ">=", partial(drop_on_the_other, learner=learner), domain),
        )
        for who, learner, which, domain in (
            ("labels", LEAST_SQUARES, "the steady one", two_backgrounds(STEADY, VARIED)),
            ("captions", LINEAR_NAME, "the varied one", two_backgrounds(VARIED, STEADY)),
        )
    ),
    *(
        background(
            id=f"test-setups/selected-by-{who}",
            **reading(
                "wang-test-setups",
                "two backgrounds, linear CLIP, least squares and the domain are ours",
            ),
            statement=(
                f"On the groups of the background on which {first.words} drops more, {first.words}"
                f" drops at least as much as {second.words} (typical appearance)."
            ),
            meaning=(
                "A test set makes the models look bad that chose its groups: choose groups by no"
                " model, or by all."
            ),
            formula=r"\mathrm{drop}_A(a_A)\geq\mathrm{drop}_B(a_A)",
            **says(first, "drop", ">=", second, domain),
        )
        for who, first, second, domain in (
            ("labels", LEAST_SQUARES, LINEAR_NAME, two_backgrounds(STEADY, VARIED)),
            ("captions", LINEAR_NAME, LEAST_SQUARES, two_backgrounds(VARIED, STEADY)),
        )
    ),
    background(
        id="test-setups/ranking-stays",
        source="soberclip; the opposite of [W]'s caution",
        statement=(
            "Least squares, which drops more than linear CLIP on the groups that it selects, does"
            " so on the groups that linear CLIP selects, too (typical appearance)."
        ),
        meaning="Rankings of robustness turn with the test set: say which groups were tested.",
        formula=r"\mathrm{drop}_A(a_B)\geq\mathrm{drop}_B(a_B)",
        **says(LEAST_SQUARES, "drop", ">=", LINEAR_NAME, two_backgrounds(VARIED, STEADY)),
    ),
]
