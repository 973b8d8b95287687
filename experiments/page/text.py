"""The first words of README and report: the world, the answer to the title, and its numbers."""

from functools import cache
from typing import NamedTuple

from experiments.lab.answers import predict
from experiments.page.front import trained_towers
from simulator.world import World
from theory.learners import InfoNCE, Learner, LeastSquares, LinearCLIP, Logistic

# The world of the answer, also as flags of `predict`, which prints each number of the answer.
WORLD = World(mu_spu=1.5, sigma_xi=6.0)
COMMAND = "soberclip predict --mu-spu 1.5 --sigma-xi 6"
PAIR = (
    "An image shows an animal y = ±1 on a background a = ±1, which equals y with probability p. Two towers learn a "
    "score of image and caption from pairs. A test image gets the class whose prompt scores higher:"
)
EQUATIONS = {
    "Latents": "z = (μ_inv y + σ_inv ε₁, μ_spu a + σ_spu ε₂)",
    "Image and caption": "x = Dz + noise, where D has orthonormal columns and each coordinate of the noise has "
    "variance ν",
    "Prompt": "the class name, (μ_inv y, 0), or the average caption of the class, (μ_inv y, (2p − 1) μ_spu y)",
}
ASKED = {  # by what follows --learner
    "infonce": ("CLIP's own loss (InfoNCE), class name", InfoNCE("name")),
    "infonce --prompt mean": ("CLIP's own loss (InfoNCE), average caption", InfoNCE("mean")),
    "linear": ("linear CLIP, class name", LinearCLIP("name")),
    "linear --prompt mean": ("linear CLIP, average caption", LinearCLIP("mean")),
    "logistic": ("logistic regression on labels", Logistic()),
    "least-squares": ("least squares on labels", LeastSquares()),
}
TRIAL = "trained/headline"  # the stored trial of towers in this world, or one with the same law
# Two pilot models, seed 0: recipe LONG of theory/claims/trained.py at a learning rate of .01.
WIDER = "At d = 64, two pairs of towers came to p′ 0.644 and 0.964 in 16,000 steps, and were not there yet."
CERTAIN = 0.99999


class Answer(NamedTuple):
    """One row of the answer, with the digits that `predict` prints."""

    learner: str
    common: str
    counter: str
    correlation: str
    shortfall: str
    towers: str  # accuracies and p' of trained towers; "" for learners without a stored trial
    flags: str  # behind --learner


@cache
def answers() -> tuple[Answer, ...]:
    """The learners in the world of the answer: group accuracies, equivalent correlation and shortfall."""
    rows, towers = [], {InfoNCE(one.prompt): one for one in trained_towers(TRIAL)}
    for flags, (words, learner) in ASKED.items():
        found = predict(WORLD, learner)
        groups = (f"{100 * found[group]:.2f}" for group in ("common", "counter"))
        place = f"{found['equivalent_correlation']:.3f}", f"{100 * found['shortfall']:.1f}"
        one = towers.get(learner)
        trained = one and f"{100 * one.common:.2f}/{100 * one.counter:.2f}, p′ {one.correlation:.3f}"
        rows.append(Answer(words, *groups, *place, trained or "", flags))
    return tuple(rows)


def answer() -> str:
    """The title question in a sentence: the equivalent correlations of three learners as shares of the pairs."""
    found = {row.flags: f"{100 * float(row.correlation):.0f} %" for row in answers()}
    return (
        f"Where the background matches the animal in {100 * WORLD.p_spu:g} % of the training pairs, CLIP asked by the "
        f"class name acts like the ideal classifier of a world where it matches in {found['infonce']}. Asked "
        f"by the average caption, it acts like that of a world where it matches in "
        f"{found['infonce --prompt mean']}. For supervised logistic regression it is "
        f"{found['logistic']}."
    )


def width_seen() -> int:
    """Number of coordinates of the views that the towers of the answer saw."""
    return trained_towers(TRIAL)[0].world.dim_image


def here() -> str:
    w = WORLD
    return (
        f"Here p = {w.p_spu:g}, μ_inv = {w.mu_inv:g}, μ_spu = {w.mu_spu:g}, σ_inv = {w.sigma_inv:g}, σ_spu = "
        f"{w.sigma_spu:g} and ν = {w.nu_image:g}: the background is stronger than the animal and varies less. The "
        "closed forms hold for infinitely many training pairs, and for views of any number of coordinates d. The "
        f"towers saw views with d = {width_seen()} and the same ν; the command's world has d = {w.dim_image}. "
        f"{WIDER}"
    )


def limit() -> str:
    """The answer as the correlation becomes certain."""
    return (
        "The published theorem is about the limit of certain correlation. There logistic regression is right on "
        f"{points(Logistic(), CERTAIN)} % of the common/counter group, and linear CLIP asked by the class name on "
        f"{points(LinearCLIP('name'), CERTAIN)} % (p = {CERTAIN}). So the theorem shows that CLIP can be bad, not that "
        "it is worse than supervised learning."
    )


def points(learner: Learner, p_spu: float) -> str:
    """Common/counter accuracy in percent, as `predict` prints it for the world of the answer."""
    document = predict(WORLD.replace(p_spu=p_spu), learner)
    return f"{100 * document['common']:.2f}/{100 * document['counter']:.2f}"
