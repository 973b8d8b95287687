"""The first words of README and report: the world, the answer to the title, and its numbers."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import NamedTuple

from experiments.lab.answers import predict
from experiments.page.front import Towers, trained_towers
from experiments.table import NUMBER, Column, Table
from simulator.prompts import asked
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
    "Detail": "image and caption have ε₁ and ε₂ of their own, with correlations g_inv and g_spu; 1 where captions tell "
    "every look, 0 where they tell none",
    "Prompt": "the bare name, a caption that tells the class alone; the typical look, (μ_inv y, 0); or the average "
    "caption of the class, (μ_inv y, (2p − 1) μ_spu y)",
}
BARE = 0.5  # share of bare captions in the first row; any share above 0 gives the same numbers
ASKED = {  # by what follows --learner
    f"infonce --prompt bare --bare {BARE}": ("CLIP's own loss (InfoNCE)", InfoNCE("bare")),
    "infonce": ("CLIP's own loss (InfoNCE)", InfoNCE("name")),
    "infonce --prompt mean": ("CLIP's own loss (InfoNCE)", InfoNCE("mean")),
    "linear": ("linear CLIP (the papers' loss)", LinearCLIP("name")),
    "linear --prompt mean": ("linear CLIP (the papers' loss)", LinearCLIP("mean")),
    "logistic": ("logistic regression on labels", Logistic()),
    "least-squares": ("least squares on labels", LeastSquares()),
}
NO_LOOK = "--detail-inv 0 --detail-spu 0"
# Stored trials of towers. The last one speaks where several have a prompt and a detail of captions.
TRIALS = ("trained/three-ways-of-asking", "trained/detail", "trained/headline")
CERTAIN = 0.99999


class Answer(NamedTuple):
    """One row of the answer: p', with the digits that `predict` prints."""

    learner: str
    asked: str  # the prompt in words; "" for supervised learners
    every: str  # captions tell every look
    none: str  # captions tell no look
    towers: tuple[str, str]  # p' of trained ones, where captions tell every look and none; "" without a stored trial
    flags: str  # behind --learner


@cache
def trained() -> dict[tuple[str | None, float], Towers]:
    """The towers of TRIALS, by prompt and detail of their captions."""
    every = (towers for trial in TRIALS for towers in trained_towers(trial))
    return {(towers.prompt, towers.world.detail_inv): towers for towers in every}


@cache
def answers() -> tuple[Answer, ...]:
    """The learners in the world of the answer, at both ends of the detail of captions."""
    return tuple(_row(flags, words, learner) for flags, (words, learner) in ASKED.items())


def _row(flags: str, words: str, learner: Learner) -> Answer:
    prompt = getattr(learner, "prompt", None)
    world = WORLD.replace(bare=BARE) if prompt == "bare" else WORLD
    worlds = (world, world.replace(detail_inv=0.0, detail_spu=0.0))
    places = (f"{predict(one, learner)['equivalent_correlation']:.3f}" for one in worlds)
    towers = [trained().get((prompt, one.detail_inv)) if isinstance(learner, InfoNCE) else None for one in worlds]
    every, none = (f"{one.correlation:.3f}" if one else "" for one in towers)
    return Answer(words, asked(prompt), *places, (every, none), flags)


def beside(theory: str, towers: str) -> str:
    """p' in theory, and of trained towers in brackets."""
    return f"{theory} ({towers})" if towers else theory


def table(flags: Callable[[Answer], str]) -> Table:
    """The answers; `flags` writes the last cell, the flags of a row as code."""
    columns = (
        Column("Learner", attrgetter("learner")),
        Column("Asked by", attrgetter("asked")),
        Column("p′, every look told (towers)", lambda row: beside(row.every, row.towers[0]), NUMBER),
        Column("p′, none told (towers)", lambda row: beside(row.none, row.towers[1]), NUMBER),
        Column("--learner", flags),
    )
    return Table("p′ by learner and prompt", columns, answers())


def answer() -> str:
    """The first paragraph: p' of three prompts as shares of the images, each with its condition."""
    rows = {row.flags.partition(" --bare")[0]: row for row in answers()}
    share = lambda p: f"{100 * float(p):.0f}"  # noqa: E731
    bare, look, average = (rows[flags] for flags in ("infonce --prompt bare", "infonce", "infonce --prompt mean"))
    return (
        "CLIP learns the animal if captions tell how each animal looks and one asks by a typical look. It then relies "
        "on the background less than its data justify. Asked by the average caption, it learns the background. Take "
        f"training images of which {100 * WORLD.p_spu:g} % show the usual background of their class. Asked by a "
        f"typical look, CLIP acts like the ideal classifier of data with {share(look.every)} % where captions tell "
        f"every look, and with {share(look.none)} % where they tell none. Asked by the bare name, as in “a photo of a "
        f"bear”, it acts like that of data with {share(bare.every)} %, if some captions tell no more than the name. "
        "Asked by the average caption, which tells the usual background, it acts like that of data with "
        f"{share(average.every)} to {share(average.none)} %. Supervised logistic regression acts like "
        f"{share(rows['logistic'].every)} %."
    )


def widths() -> tuple[int, int, int]:
    """Coordinates of the views of towers: captions tell every look, they tell none, some of them are bare."""
    every, none, bare = (trained()[at].world.dim_image for at in (("name", 1.0), ("name", 0.0), ("bare", 1.0)))
    return every, none, bare


def here() -> str:
    w, (every, none, bare) = WORLD, widths()
    return (
        f"Here p = {w.p_spu:g}, μ_inv = {w.mu_inv:g}, μ_spu = {w.mu_spu:g}, σ_inv = {w.sigma_inv:g}, σ_spu = "
        f"{w.sigma_spu:g} and ν = {w.nu_image:g}: the background is stronger than the animal and varies less. The "
        "closed forms hold for infinitely many training pairs, and for views of any number of coordinates d. Towers "
        f"saw views with the same ν, and d = {every} where captions tell every look, d = {none} where they tell none, "
        f"and d = {bare} where half of the captions are bare."
    )


def limit() -> str:
    """The answer as the correlation becomes certain."""
    return (
        "The published theorem is about captions that tell every look, in the limit of certain correlation. There "
        "logistic regression is right on "
        f"{points(Logistic(), CERTAIN)} % of the common/counter group, and linear CLIP asked by the typical look on "
        f"{points(LinearCLIP('name'), CERTAIN)} % (p = {CERTAIN}). So the theorem shows that CLIP can be bad, not that "
        "it is worse than supervised learning."
    )


def points(learner: Learner, p_spu: float) -> str:
    """Common/counter accuracy in percent, as `predict` prints it for the world of the answer."""
    document = predict(WORLD.replace(p_spu=p_spu), learner)
    return f"{100 * document['common']:.2f}/{100 * document['counter']:.2f}"
