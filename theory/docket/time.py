"""What linear CLIP learns first, and whether stopping early helps (`theory.population.grown`).

Its first mode alone is the embedding of width 1. At EARLY the first mode stands in all worlds of
TIMED, and the second has less than a hundredth of it.
"""

from functools import partial

from simulator.prompts import prompt_row
from theory.accuracy import Phi, reliance
from theory.claims.claim import Axis, Claim
from theory.docket.common import BARE, COUNTER, box, m0, says
from theory.docket.remedies import NARROW, SPURIOUS
from theory.docket.sentences import reading
from theory.docket.subjects import LINEAR_BOTH, LINEAR_MEAN, LINEAR_NAME
from theory.learners import LinearCLIP

EARLY = {prompt: LinearCLIP(prompt, time=2.0) for prompt in ("name", "mean")}
TIMED = BARE | box(p_spu=(0.8, 0.95), mu_spu=(1.5, 2.5), sigma_inv=(0.5, 1.0), sigma_spu=(0.1, 0.5))
WHERE = "a strong background, and time 2 of gradient flow from weights of .01"
# The background alone is right in less than four fifths of the images, the object in nine tenths
# (Phi(1/.75) = .909).
MORE_PREDICTIVE = {
    **BARE,
    "p_spu": Axis(0.6, 0.8),
    "sigma_inv": Axis(0.3, 0.75),
    "sigma_spu": Axis(0.05, 0.3),
}

first = partial(Claim, question="background", source="soberclip, the law of time")

CLAIMS = [
    first(
        id="time/prompts-agree",
        statement=(
            "Once the first mode stands, linear CLIP is as accurate on the counter group by"
            f" typical appearance as by average caption, to a point ({WHERE})."
        ),
        formula=rf"{COUNTER}_{{\mathrm{{look}}}}(t)={COUNTER}_{{\mathrm{{average}}}}(t)",
        **says(EARLY["name"], "counter", "=", EARLY["mean"]),
        tolerance=0.01,
        domain=TIMED,
    ),
    first(
        id="time/stopping-raises",
        statement=(
            "Stopped once the first mode stands, linear CLIP relies by typical appearance at least"
            f" as much on the background as at its end, so its p' is no smaller ({WHERE})."
        ),
        formula=r"t(\tau)\geq t(\infty)",
        **says(EARLY["name"], "reliance", ">=", LINEAR_NAME, TIMED),
    ),
    first(
        id="time/average-caption",
        statement=(
            "By average caption the first mode relies more on the background than linear CLIP at"
            " its end if and only if it relies on it more than the class means do."
        ),
        formula=r"t_1>t_{\mathrm{average}}\Leftrightarrow t_1>\mu_{\mathrm{spu}}(2p-1)",
        **says(
            NARROW,
            "reliance",
            "iff",
            lambda x: reliance(NARROW.direction(x)) - x.mu_spu * m0(x),
            SPURIOUS,
        ),
        threshold=lambda x: reliance(LINEAR_MEAN.direction(x)),
    ),
    first(
        id="time/first-mode-leans",
        statement=(
            "The first mode of linear CLIP relies more on the background than on the object if and"
            " only if the background's latent has the larger variance."
        ),
        formula=r"t_1>1\Leftrightarrow"
        r"\mu_{\mathrm{spu}}^2+\sigma_{\mathrm{spu}}^2>1+\sigma_{\mathrm{inv}}^2",
        **says(
            NARROW,
            "reliance",
            "iff",
            lambda x: x.mu_spu**2 + x.sigma_spu**2 - 1 - x.sigma_inv**2,
            SPURIOUS,
        ),
        threshold=1.0,
    ),
    *(
        first(
            id=f"time/stopping-helps/{learner.prompt}",
            statement=(
                "Stopped once the first mode stands, linear CLIP is at least as accurate on the"
                f" counter group as at its end ({prompt_row(learner.prompt).words}; {WHERE})."
            ),
            formula=rf"{COUNTER}(t)\geq{COUNTER}(\infty)",
            **says(EARLY[learner.prompt], "counter", ">=", learner, TIMED),
        )
        for learner in LINEAR_BOTH
    ),
    first(
        id="time/spurious-first",
        **reading(
            "qiu-spurious-easier",
            "linear CLIP, its first mode, and every world of the domain are ours",
        ),
        statement=(
            "The first mode of linear CLIP relies at least as much on the background as on the"
            " object."
        ),
        formula=r"t_1\geq 1",
        **says(NARROW, "reliance", ">=", 1.0, SPURIOUS),
    ),
    first(
        id="time/early-output",
        **reading(
            "yang-early-output", f"linear CLIP, half of the counter group, and {WHERE} are ours"
        ),
        statement=(
            "Early in training, and where the background varies by a tenth of its strength at most,"
            " linear CLIP is wrong on at least half of the counter group (typical appearance)."
        ),
        formula=rf"{COUNTER}(t)\leq\frac{{1}}{{2}}",
        **says(EARLY["name"], "counter", "<=", 0.5, {**TIMED, "sigma_spu": Axis(0.02, 0.15)}),
    ),
    *(
        first(
            id=f"time/less-predictive/{word}",
            **reading(
                "shah-less-predictive",
                "the background as the simplest feature, and linear CLIP, are ours",
            ),
            statement=(
                "Although the object tells more about the label, the first mode of linear CLIP"
                f" relies at least as much on the background, which varies less ({where})."
            ),
            meaning=meaning,
            formula=r"\Phi(1/\sigma_{\mathrm{inv}})>p\Rightarrow t_1\geq 1",
            **says(NARROW, "reliance", ">=", 1.0, {**MORE_PREDICTIVE, "mu_spu": Axis(*strengths)}),
        )
        for word, where, strengths, meaning in (
            (
                "strong",
                "a background at least 1.3 times as strong",
                (1.3, 3.0),
                "What is large in images comes first.",
            ),
            (
                "weak",
                "a background at most as strong",
                (0.5, 1.0),
                "Little variation alone does not make it first.",
            ),
        )
    ),
    *(
        first(
            id=f"time/exclusively/{word}",
            **reading(
                "shah-exclusively", f"linear CLIP, a tolerance of two points, and {WHERE} are ours"
            ),
            statement=(
                "Early in training linear CLIP decides on the counter group like a rule that sees"
                f" the background alone, to two points (typical appearance; {where})."
            ),
            formula=rf"{COUNTER}(t)=\Phi(-\mu_{{\mathrm{{spu}}}}/\sigma_{{\mathrm{{spu}}}})",
            **says(EARLY["name"], "counter", "=", lambda x: Phi(-x.mu_spu / x.sigma_spu)),
            tolerance=0.02,
            domain={**TIMED, "mu_spu": Axis(*strengths)},
        )
        for word, where, strengths in (
            ("strong", "a background 1.5 to 2.5 times as strong as the object", (1.5, 2.5)),
            ("overwhelming", "a background 4 to 5 times as strong as the object", (4.0, 5.0)),
        )
    ),
    *(
        first(
            id=f"time/mostly-spurious/{word}",
            **reading(
                "setlur-mostly-spurious",
                f"linear CLIP by typical appearance, every world of the domain, and {WHERE} are"
                " ours",
            ),
            statement=(
                f"{when.capitalize()}, linear CLIP relies at least as much on the background as on"
                f" the object (typical appearance; {WHERE.split(',')[0]})."
            ),
            meaning=meaning,
            formula=formula,
            **says(subject, "reliance", ">=", 1.0, TIMED),
        )
        for word, when, subject, formula, meaning in (
            (
                "early",
                "once the first mode stands",
                EARLY["name"],
                r"t(\tau)\geq 1",
                "Strong backgrounds come first.",
            ),
            (
                "end",
                "at the end of training",
                LINEAR_NAME,
                r"t(\infty)\geq 1",
                "Training on brings the object back.",
            ),
        )
    ),
]
