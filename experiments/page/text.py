"""The numbers of the answer, which the report's template puts into words: p' by learner and prompt
in one world.
"""

from collections.abc import Callable
from functools import cache

from experiments.lab.answers import predict
from experiments.page.front import trained_towers
from experiments.table import NUMBER, Column, Table
from simulator.prompts import asked
from simulator.world import World
from theory.learners import InfoNCE, Learner, LeastSquares, LinearCLIP, Logistic

# The world of the answer, also as flags of `predict`, which prints each number of the answer.
WORLD = World(mu_spu=1.5, sigma_xi=6.0)
COMMAND = "soberclip predict --mu-spu 1.5 --sigma-xi 6"
BARE = 0.5  # share of bare captions in the first row; any share above 0 gives the same numbers
ASKED = {  # by what follows --learner
    f"infonce --prompt bare --bare {BARE}": ("CLIP's own loss (InfoNCE)", InfoNCE("bare")),
    "infonce": ("CLIP's own loss (InfoNCE)", InfoNCE("name")),
    "infonce --prompt average": ("CLIP's own loss (InfoNCE)", InfoNCE("mean")),
    "linear": ("linear CLIP (the papers' loss)", LinearCLIP("name")),
    "linear --prompt average": ("linear CLIP (the papers' loss)", LinearCLIP("mean")),
    "logistic": ("logistic regression on labels", Logistic()),
    "least-squares": ("least squares on labels", LeastSquares()),
}
# Stored trials of towers of InfoNCE. The last one speaks where several have a prompt and a detail
# of captions.
TRIALS = ("trained/three-ways-of-asking", "trained/detail", "trained/headline")
CERTAIN = 0.99999


@cache
def trained() -> dict[tuple[str | None, float], tuple[World, float]]:
    """World and p' of the towers of TRIALS, by prompt and detail of their captions."""
    every = (towers for trial in TRIALS for towers in trained_towers(trial))
    return {
        (prompt, world.detail_inv): (world, correlation) for world, prompt, correlation in every
    }


def answers() -> list[dict[str, str]]:
    """Rows of the answer: p' to two digits where captions describe every appearance and none, in
    brackets of towers.

    `flags` follow --learner; supervised learners have an empty prompt.
    """
    rows = []
    for flags, (words, learner) in ASKED.items():
        prompt = getattr(learner, "prompt", None)
        world = WORLD.replace(bare=BARE) if prompt == "bare" else WORLD
        row = {"learner": words, "prompt": asked(prompt), "flags": flags}
        for name, detail in (("every", 1.0), ("none", 0.0)):
            place = predict(world.replace(detail_inv=detail, detail_spu=detail), learner)[
                "equivalent_correlation"
            ]
            towers = trained().get((prompt, detail)) if learner.name == "infonce" else None
            row[name] = f"{place:.2f}" + (f" ({towers[1]:.2f})" if towers else "")
        rows.append(row)
    return rows


def table(flags: Callable[[dict[str, str]], str]) -> Table:
    """The answers; `flags` writes the last cell, the flags of a row as code."""
    columns = (
        Column("Learner", "learner"),
        Column("Prompt", "prompt"),
        Column("p′, every appearance (towers)", "every", NUMBER),
        Column("p′, no appearance (towers)", "none", NUMBER),
        Column("--learner", flags),
    )
    return Table("p′ by learner and prompt", columns, answers())


def points(learner: Learner) -> str:
    """Common/counter accuracy in percent as the correlation becomes CERTAIN, as `predict` prints
    it.
    """
    document = predict(WORLD.replace(p_spu=CERTAIN), learner)
    return f"{100 * document['common']:.2f}/{100 * document['counter']:.2f}"
