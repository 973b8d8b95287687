"""What papers say about captions that do not fit, about shortcuts, and about what helps against
them.

As in `related_work`, only abstracts were read, and the domains are ours. A paper's remedy becomes a
closed form here:
    mismatch                    captions of other pairs (T11)
    LinearCLIP(projected=True)  embeddings without the background's direction, balanced towers (T12)
    projected=(e, 1)            the direction of a caption that shows e of the object, too: a
                                misjudged direction
    projected=(0, 0, 1)         the direction of a second background, whose removal leaves the first
                                one
    LinearCLIP(embed_dim=1)     the narrowest embedding (T7)
    interpolated weights        M = (M_0 + M_1)/2 of two linear critics. M is affine in the
                                correlation, so halfway between no correlation and p it is the
                                critic trained at (1/2 + p)/2.
"""

from functools import partial

from simulator.accuracy import Numbers
from theory.accuracy import reliance
from theory.claims.claim import Axis, Claim
from theory.docket.common import BARE, COUNTER, MODERATE, PAPER_WORLD, box, for_both_prompts, says
from theory.docket.sentences import printed, reading
from theory.docket.subjects import INFONCE_NAME, LEAST_SQUARES, LINEAR_MEAN, LINEAR_NAME, LOGISTIC
from theory.docket.xue import CONDITIONS
from theory.learners import Learner, LinearCLIP, MaxMargin

PROJECTED = LinearCLIP("name", projected=True)
NARROW = LinearCLIP("name", embed_dim=1)
NEARLY = LinearCLIP("name", projected=(0.1, 1.0))
FAR_OFF = LinearCLIP("name", projected=(0.5, 1.0))
SECOND = {prompt: LinearCLIP(prompt, projected=(0.0, 0.0, 1.0)) for prompt in ("name", "mean")}
# Two equally strong shortcuts, each less noisy than the object. A single world, because logistic
# regression is slow.
TWO_SHORTCUTS = {"sigma_xi": 0.0, "p_spu": 0.98, "attribute.p": 0.98}
CONCEPTS = {
    **box(
        sigma_xi=0.0,
        p_spu=(0.6, 0.95),
        mu_spu=(0.5, 3.0),
        sigma_inv=(0.5, 2.0),
        sigma_spu=(0.1, 2.0),
    ),
    **{
        "attribute.p": Axis(0.6, 0.95),
        "attribute.mu": Axis(0.5, 3.0),
        "attribute.sigma": Axis(0.1, 2.0),
    },
}
AMPLIFIED = 0.1  # of the reliance: our reading of "amplifies"
# balanced accuracy on 30 matched pairs: the exact law's mean over 40,000 trainings, to .0003
MATCHED_30 = 0.8163
CLEAR_IMAGES = {**BARE, "sigma_xi": 0.01, "p_spu": Axis(0.6, 0.95), "mu_spu": Axis(0.5, 3.0)}
ANY_MENTIONS = box(mention_inv=(0.3, 1.0), mention_spu=(0.3, 1.0))
SPURIOUS = {**MODERATE, "p_spu": Axis(0.6, 0.95)}


def fine_tuned(x, learner: LinearCLIP = LINEAR_NAME):
    """Accuracies after training at p, for a world x at (1/2 + p)/2."""
    return learner.accuracy(x.replace(p_spu=2 * x.p_spu - 0.5))


def amplified(x, learner: Learner) -> Numbers:
    """The reliance once the second background tells nothing about the label, less AMPLIFIED."""
    removed = x.replace(attribute=(x.attribute[0].replace(p=0.5),))
    return reliance(learner.direction(removed)) - AMPLIFIED


not_learned = partial(
    Claim,
    **reading(
        "cai-omitted-not-learned", "the learner, a drop of two points and the domain are ours"
    ),
    question="prompts",
)
pairs = partial(Claim, question="pairs")
remedy = partial(Claim, question="mitigations")
# the world of the interpolated weights
halfway = partial(remedy, domain={**SPURIOUS, "p_spu": Axis(0.55, 0.75)})
unconsidered = partial(
    remedy,
    **reading(
        "wring-amplifies",
        "linear towers, two backgrounds, the size of a rise and the domain are ours",
    ),
    domain=CONCEPTS,
)
OVER = {"balanced": "on both groups together", "common": "on the common group"}
WITHOUT = "Without the direction of a caption of the background and"

CLAIMS = [
    *(
        Claim(
            id=f"xue-corollary/{quantity}",
            question="supervised",
            **printed("xue-corollary", "limits are sigma_spu up to .01 and p_spu from .999"),
            statement=(
                f"At mu_spu = sigma_inv = 1, as sigma_spu goes to 0 and p_spu to 1, the {quantity}"
                f" accuracy of linear CLIP is {round(100 * limit)} % (typical appearance)."
            ),
            formula=rf"\mathrm{{Acc}}_{{\mathrm{{{quantity}}}}}\to {limit}",
            **says(LINEAR_NAME, quantity, "=", limit),
            domain={
                **BARE,
                "mu_spu": 1.0,
                "sigma_inv": 1.0,
                "sigma_spu": Axis(0.0, 0.01),
                "p_spu": Axis(0.999, 1.0),
            },
        )
        for quantity, limit in (("counter", 0.69), ("balanced", 0.81))
    ),
    Claim(
        id="more-robust-than-maximum-margin",
        question="supervised",
        **reading(
            "xue-superior-accuracy",
            "the maximum margin in many dimensions, the counter group and the conditions' numbers"
            " are ours",
        ),
        statement=(
            "Under [X]'s conditions linear CLIP is at least as accurate on the counter group as the"
            " maximum margin (typical appearance)."
        ),
        formula=rf"{COUNTER}_{{\mathrm{{CLIP}}}}\geq{COUNTER}_{{\mathrm{{margin}}}}",
        # By its law: the limit of many dimensions cannot be drawn.
        **says(LINEAR_NAME, "counter", ">=", lambda x: MaxMargin().accuracy(x).counter, CONDITIONS),
    ),
    pairs(
        id="misaligned/few-pairs",
        **reading(
            "sun-misaligned-degrade",
            "linear towers on 30 pairs, balanced accuracy and the world are ours",
        ),
        statement=(
            "If four fifths of the captions belong to other pairs, linear CLIP on 30 pairs is on"
            " average less accurate than without such captions (p_spu = .9, mu_spu = 1, typical"
            " appearance)."
        ),
        formula=r"\mathbb{E}\,\mathrm{Acc}_{.8}(n=30)\leq\mathbb{E}\,\mathrm{Acc}_0(n=30)",
        **says(
            LINEAR_NAME,
            "balanced",
            "<=",
            MATCHED_30,
            {**BARE, "p_spu": 0.9, "mu_spu": 1.0, "mismatch": 0.8},
        ),
        n=30,
    ),
    pairs(
        id="misaligned/unlimited-pairs",
        **reading(
            "sun-misaligned-degrade", "unlimited pairs, a point of accuracy and the domain are ours"
        ),
        statement=(
            "If at least a fifth of the captions belong to other pairs, linear CLIP loses a point"
            " of balanced accuracy even on unlimited pairs (typical appearance)."
        ),
        formula=r"\epsilon\geq .2:\ \mathrm{Acc}_\epsilon\leq\mathrm{Acc}_0-.01",
        **says(
            LINEAR_NAME,
            "balanced",
            "<=",
            lambda x: LINEAR_NAME.accuracy(x.replace(mismatch=0.0)).balanced - 0.01,
        ),
        domain={**SPURIOUS, "mismatch": Axis(0.2, 0.9)},
    ),
    pairs(
        id="mismatch-leaves-reliance",
        source="soberclip T11",
        statement=(
            "Captions of other pairs do not change linear CLIP's reliance on the background,"
            " however many they are (typical appearance, unlimited pairs)."
        ),
        formula=r"t_\epsilon=t_0",
        **says(
            LINEAR_NAME,
            "reliance",
            "=",
            lambda x: x.mu_spu * (2 * x.p_spu - 1) / (1 + x.sigma_inv**2),
        ),
        domain={**SPURIOUS, "mismatch": Axis(0.0, 0.9)},
    ),
    *(
        remedy(
            id=f"projecting-suffices/{which}",
            **reading(
                "chuang-projecting-suffices",
                "balanced linear towers, the drop and the domain are ours",
            ),
            statement=(
                "Without the direction of the background's caption in its embeddings, linear CLIP"
                f" does not drop from the common to the counter group, {words}."
            ),
            formula=r"\mathrm{drop}\leq 0",
            **says(PROJECTED, "drop", "<=", 0.0, {**SPURIOUS, **mentions}),
        )
        for which, words, mentions in (
            ("full-captions", "if captions mention everything", {}),
            ("any-captions", "however often captions mention either", ANY_MENTIONS),
        )
    ),
    remedy(
        id="projecting-beats-leaving-out",
        source="soberclip T12",
        statement=(
            "With full captions, linear CLIP without the background's direction is at least as"
            " accurate on the counter group as prompted with the typical appearance, which only"
            " leaves the word out."
        ),
        formula=rf"{COUNTER}_{{\mathrm{{projected}}}}\geq{COUNTER}_{{\mathrm{{name}}}}",
        **says(PROJECTED, "counter", ">=", LINEAR_NAME, SPURIOUS),
    ),
    *(
        not_learned(
            id=f"omitted-not-learned/{learner.name}",
            statement=(
                "If captions never mention the background and images have little noise,"
                f" {learner.words} drops by at most two points from the common to the counter group"
                " (typical appearance)."
            ),
            formula=r"\pi_{\mathrm{spu}}=0:\ \mathrm{drop}\leq .02",
            **says(learner, "drop", "<=", 0.02, {**CLEAR_IMAGES, "mention_spu": 0.0}),
        )
        for learner in (INFONCE_NAME, LINEAR_NAME)
    ),
    # Such captions change neither what InfoNCE decides by name, nor what linear CLIP does; by their
    # mean they decide likewise (`simulator.gaussian.pairs.contradicted`).
    not_learned(
        id="misstated-not-learned/infonce",
        statement=(
            "If captions name a random background and images have little noise, the InfoNCE optimum"
            " drops by at most two points from the common to the counter group (typical appearance"
            " or average caption)."
        ),
        formula=r"p(x,t)\to\frac{1}{2}(p(x,t)+p(x,Rt)):\ \mathrm{drop}\leq .02",
        **says(INFONCE_NAME, "drop", "<=", 0.02, CLEAR_IMAGES),
    ),
    *for_both_prompts(
        Claim,
        "wider-relies-less/%s",
        "Linear CLIP relies no more on the background than its embedding of width 1, which"
        " suppresses a feature (%s).",
        (
            "reliance",
            "<=",
            NARROW,
            {**PAPER_WORLD, "p_spu": Axis(0.6, 0.95), "sigma_spu": Axis(0.1, 2.0)},
        ),
        question="background",
        **reading(
            "xue-wider-embedding",
            "linear towers on images and captions, reliance and the domain are ours",
        ),
        formula=r"t\leq t_{h=1}",
    ),
    *(
        remedy(
            id=f"whac-a-mole/{learner.name}",
            **reading("li-whac-a-mole", "balanced data, .1 of the reliance and the world are ours"),
            statement=(
                f"Once training balances one of two equal backgrounds (p = .98), {learner.words}"
                " relies more on the other, by .1 at least."
            ),
            formula=r"t+.1\leq t_{p_2=1/2}",
            **says(learner, "reliance", "<=", partial(amplified, learner=learner), TWO_SHORTCUTS),
        )
        for learner in (LOGISTIC, LEAST_SQUARES, LINEAR_NAME)
    ),
    halfway(
        id="interpolated-weights/shift",
        **reading(
            "wortsman-shift", "linear critics, halfway, the counter group and the domain are ours"
        ),
        statement=(
            "Halfway between the weights of linear CLIP trained without a correlation and those"
            " trained with one, the counter accuracy is at least that of the latter (typical"
            " appearance)."
        ),
        formula=rf"{COUNTER}_{{(M_0+M_1)/2}}\geq{COUNTER}_{{M_1}}",
        **says(LINEAR_NAME, "counter", ">=", lambda x: fine_tuned(x).counter),
    ),
    halfway(
        id="interpolated-weights/target",
        **reading(
            "wortsman-target",
            "linear critics, halfway, a point of common accuracy and the domain are ours",
        ),
        statement=(
            "Halfway between the weights of linear CLIP trained without a correlation and those"
            " trained with one, the common accuracy is at most a point lower than that of the"
            " latter (typical appearance)."
        ),
        formula=r"\mathrm{Acc}(a=y)_{(M_0+M_1)/2}\geq\mathrm{Acc}(a=y)_{M_1}-.01",
        **says(LINEAR_NAME, "common", ">=", lambda x: fine_tuned(x).common - 0.01),
    ),
    # The first background is the concept that the projection does not consider. By typical
    # appearance, with s = sigma_inv^2 and k = beta_2^2 m_2^2/(beta_2^2 + sigma_2^2) < 1, its
    # reliance falls from alpha beta m_1/(alpha^2 + s) to alpha beta m_1 (1 - k)/(alpha^2 (1 - k) +
    # s) (T12). The drop can rise all the same: the second one outvoted it.
    unconsidered(
        id="projection-amplifies/drop",
        statement=(
            "In some world with two backgrounds, without the direction of the second one in its"
            " embeddings, linear CLIP drops more between the groups of the first one, by ten points"
            " at least (typical appearance)."
        ),
        meaning=(
            "Projecting one shortcut out can make the drop on another larger: test shortcuts that"
            " you left in."
        ),
        formula=r"\exists:\ \mathrm{drop}_1(\perp_2)\geq\mathrm{drop}_1+.1",
        **says(SECOND["name"], "drop", ">=", lambda x: LINEAR_NAME.accuracy(x).drop + 0.1),
        quantifier="somewhere",
    ),
    unconsidered(
        id="projection-amplifies/average-caption",
        statement=(
            "In some world with two backgrounds, without the direction of the second one in its"
            " embeddings, linear CLIP relies more on the first one beside the object, by .05 at"
            " least (average caption)."
        ),
        meaning=(
            "Asked by an average caption, which names it, the shortcut that is left is used more."
        ),
        formula=r"\exists:\ t_1(\perp_2)\geq t_1+.05",
        **says(
            SECOND["mean"], "reliance", ">=", lambda x: reliance(LINEAR_MEAN.direction(x)) + 0.05
        ),
        quantifier="somewhere",
    ),
    remedy(
        id="projection-amplifies/never-by-typical-look",
        source="soberclip T12",
        statement=(
            "In no world with two backgrounds does linear CLIP without the direction of the second"
            " one in its embeddings rely more on the first one beside the object (typical"
            " appearance)."
        ),
        meaning=(
            "By a typical appearance the shortcut that is left is not used more: it is only no"
            " longer outvoted."
        ),
        formula=r"t_1(\perp_2)\leq t_1",
        **says(
            SECOND["name"], "reliance", "<=", lambda x: reliance(LINEAR_NAME.direction(x)), CONCEPTS
        ),
    ),
    remedy(
        id="misjudged-projection/worst-group/near",
        **reading(
            "roboshot-worst-group",
            "linear towers, a tenth of the object in the direction, ten points are ours",
        ),
        statement=(
            f"{WITHOUT} a tenth of the object in its embeddings, linear CLIP is on average over"
            " worlds more accurate on the counter group, by ten points at least (typical"
            " appearance)."
        ),
        meaning=(
            "A language model's guess of the harmful direction helps much, even if it is a little"
            " off."
        ),
        formula=rf"e=.1:\ \mathbb{{E}}\,{COUNTER}_\perp\geq\mathbb{{E}}\,{COUNTER}+.1",
        **says(NEARLY, "counter", ">=", LINEAR_NAME, SPURIOUS),
        quantifier="on average",
        prediction=lambda x: 0.1,
    ),
    *(
        remedy(
            id=f"misjudged-projection/overall/{word}",
            **reading(
                "roboshot-overall",
                f"linear towers, {error} of the object in the direction, a point are ours",
            ),
            statement=(
                f"{WITHOUT} {error} of the object in its embeddings, linear CLIP loses a point of"
                f" accuracy at most {OVER[quantity]} (typical appearance)."
            ),
            meaning=meaning,
            formula=rf"e={learner.projected[0]:g}:\ \mathrm{{Acc}}_\perp\geq\mathrm{{Acc}}-.01",
            **says(learner, quantity, ">=", LINEAR_NAME, SPURIOUS),
            prediction=lambda x: -0.01,
        )
        for word, error, quantity, learner, meaning in (
            (
                "near",
                "a tenth",
                "balanced",
                NEARLY,
                (
                    "On images of which half show an unusual background, a nearly right direction"
                    " costs nothing."
                ),
            ),
            (
                "far",
                "half",
                "balanced",
                FAR_OFF,
                (
                    "A direction that holds half of the object removes the object: check which"
                    " direction you remove."
                ),
            ),
            (
                "common",
                "a tenth",
                "common",
                NEARLY,
                (
                    "Where nearly all of your images show the usual background, robustness costs"
                    " overall accuracy."
                ),
            ),
        )
    ),
]
