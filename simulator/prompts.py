"""The table of prompts: which captions represent a class in zero-shot classification.

A prompt may be one caption p_y = D_T q_y. Block by block q is a multiple of the class's own pattern:
    name         the object alone                               mu_inv, 0, 0, ...
    mean         the average training caption, E[z_T | y]       pi_b mu_b D_b
    background   the object with the class's own backgrounds    mu_inv, mu_spu, ...
Or it pools the scores of all training captions of the class:
    captions     log-mean-exp of the scores
    scores       mean of the scores, which is the score of the averaged embedding (Radford et al. 2021, section 3.1.4:
                 prompt ensembles)
A critic that is linear in the caption gives the mean caption the mean of the scores. Its scores are defined up to a
factor only, so they have no log-mean-exp.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

from simulator.accuracy import Numbers
from simulator.naming import check_known

Prompt = Literal["name", "mean", "background", "captions", "scores"]
PROMPTS: tuple[Prompt, ...] = get_args(Prompt)
DEFAULT_PROMPTS: tuple[Prompt, ...] = ("name", "mean")  # evaluated for trained towers unless others are given


def _mean(mean: Numbers, correlation: Numbers, mention: Numbers, is_object: bool) -> Numbers:
    return mention * mean * correlation


class PromptRow(NamedTuple):
    """A row of the table: `coefficient` gives each block's multiple of the class's pattern in the prompt's caption."""

    words: str
    coefficient: Callable[[Numbers, Numbers, Numbers, bool], Numbers] = _mean
    average: bool = False
    names_background: bool = True
    pool: Literal["log-mean-exp", "mean"] | None = None


_TABLE: dict[Prompt, PromptRow] = {
    "name": PromptRow(
        "its name alone", lambda mean, D, pi, is_object: mean if is_object else 0.0, names_background=False
    ),
    "mean": PromptRow("its mean caption", average=True),
    "background": PromptRow("its name with its usual background", lambda mean, *_: mean),
    "captions": PromptRow("the log-mean-exp of scores over its captions", pool="log-mean-exp"),
    "scores": PromptRow("the mean of scores over its captions", average=True, pool="mean"),
}
LINEAR: tuple[Prompt, ...] = tuple(name for name, row in _TABLE.items() if row.pool != "log-mean-exp")


def prompt_row(prompt: Prompt) -> PromptRow:
    """The row of a prompt."""
    check_known("prompt", prompt, _TABLE)
    return _TABLE[prompt]


def caption(prompt: Prompt) -> PromptRow:
    """The row of a prompt that is a single caption. Raises ValueError for a prompt that pools many captions."""
    row = prompt_row(prompt)
    if row.pool == "log-mean-exp":
        raise ValueError(
            f"prompt = {prompt!r} is {row.words}, which linear scores, known up to a factor, do not have; choose one "
            f"of {', '.join(LINEAR)}"
        )
    return row


def in_words(prompts: tuple[Prompt, ...] = PROMPTS) -> str:
    """Prompts with their meanings, for readers."""
    return ", ".join(f"{name} ({_TABLE[name].words})" for name in prompts)
