"""The table of prompts: which captions represent a class in zero-shot classification.

A prompt may be one caption p_y = D_T q_y. Block by block q is a multiple of the class's own
pattern:
    typical      typical appearance: a typical object of the class    mu_inv, 0, 0, ...
    average      average caption that is not bare, E[z_T | y]   E[m_b] mu_b D_b
    background   typical appearance on the class's own backgrounds    mu_inv, mu_spu, ...
    bare         bare name: a caption that tells the class and no look, and that training shows
                 (World.bare > 0)
Real zero-shot use, "a photo of a polar bear", is the bare name, if some captions tell no more.

Or the prompt pools the scores of all training captions of the class:
    captions     log-mean-exp of the scores
    scores       mean of the scores, which is the score of the averaged embedding (Radford et al.
                 2021, section 3.1.4: prompt ensembles)
Pools take all captions in, the bare ones, too. The average caption is that of the captions that are
not bare. A critic that is linear in the caption gives the average of all captions the mean of the
scores. Its scores are defined up to a factor only, so they have no log-mean-exp.

Results, stores and hashes call the typical appearance `name` and the average caption `mean`, and so
may a request.
"""

from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np
from jaxtyping import Float

from simulator.accuracy import Numbers
from simulator.mixture import class_means
from simulator.naming import unlisted

Choice = Literal["typical", "average", "background", "bare", "captions", "scores"]
Prompt = Literal[Choice, "name", "mean"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
P = TypeVar("P", bound=str | None)
_NAMES: dict[str, Any] = {"typical": "name", "average": "mean"}


def prompt_name(prompt: P) -> P:
    """What results, stores and hashes call a prompt: "name" for "typical", "mean" for "average",
    others as they are.
    """
    return prompt if prompt is None else _NAMES.get(prompt, prompt)


PROMPTS: tuple[Prompt, ...] = tuple(map(prompt_name, CHOICES))
# evaluated for trained towers unless others are given
DEFAULT_PROMPTS: tuple[Prompt, ...] = ("name", "mean")


class PromptRow(NamedTuple):
    """A row of the table."""

    words: str
    average: bool = False
    names_background: bool = True
    pool: Literal["log-mean-exp", "mean"] | None = None

    def coefficient(
        self, mean: Numbers, correlation: Numbers, mention: Numbers, bare: Numbers, is_object: bool
    ) -> Numbers:
        """A block's multiple of the class's pattern in the prompt's caption."""
        typical = mean if is_object else 0.0  # also of a bare caption
        if not self.average:
            return mean if self.names_background else typical
        if self.pool is None:
            return mention * mean * correlation
        return (1 - bare) * mention * mean * correlation + bare * typical


_TABLE: dict[Prompt, PromptRow] = {
    "name": PromptRow("typical appearance", names_background=False),
    "mean": PromptRow("average caption", average=True),
    "background": PromptRow("typical appearance on the usual background"),
    "bare": PromptRow("bare name", names_background=False),
    "captions": PromptRow("log-mean-exp of the scores of all captions", pool="log-mean-exp"),
    "scores": PromptRow("mean of the scores of all captions", average=True, pool="mean"),
}
LINEAR: tuple[Prompt, ...] = tuple(
    name for name, row in _TABLE.items() if row.pool != "log-mean-exp"
)


def prompt_row(prompt: Prompt) -> PromptRow:
    """The row of a prompt."""
    if prompt_name(prompt) not in _TABLE:
        raise ValueError(f"prompt = {unlisted(prompt, get_args(Prompt))}")
    return _TABLE[prompt_name(prompt)]


def asked(prompt: Prompt | Literal[""] | None) -> str:
    """A prompt in words; "" for a learner without one."""
    return prompt_row(prompt).words if prompt else ""


def check_told(prompt: Prompt, bare: Numbers) -> None:
    """Raise ValueError for a caption that is not bare where all captions are."""
    if prompt != "bare" and not prompt_row(prompt).pool and np.any(np.asarray(bare) == 1):
        raise ValueError(
            f"prompt = {prompt!r} is a caption that is not bare, and with bare = 1 there is none;"
            " the nearest valid choice is prompt = 'bare'"
        )


def caption(prompt: Prompt) -> PromptRow:
    """The row of a prompt that is a single caption. Raises ValueError for a prompt that pools many
    captions.
    """
    row = prompt_row(prompt)
    if row.pool == "log-mean-exp":
        raise ValueError(
            f"prompt = {prompt!r} is {row.words}, which linear scores, known up to a factor, do not"
            f" have; choose one of {', '.join(LINEAR)}"
        )
    return row


def latent_prompts(world, prompt: Prompt) -> Float[np.ndarray, "K l"]:
    """Latent prompts q_y of one world; see `World.prompts`.

    A table's usual background is the mean of its common ones.
    """
    row = caption(prompt)
    K = world.class_count
    blocks = []
    # of those that are averaged, the share that is not bare
    captions = 1 - world.bare if row.pool else 1.0
    for b, (mean, mention) in enumerate(zip(world.mean, world.caption_kinds.moment(), strict=True)):
        if b == 1 and world.table is not None:
            backgrounds = np.zeros((K, world.background_count))
            if row.average:
                backgrounds = captions * mention * world.background_law()
            elif row.names_background:
                for shares, common in zip(backgrounds, world.usual_backgrounds(), strict=True):
                    shares[list(common)] = 1 / len(common)
            blocks.append(mean * backgrounds @ class_means(world.background_count))
        else:
            # E[e_a | y] = D e_y + (1 - p)/(K - 1) 1; the pattern of two classes is antisymmetric,
            # no constant
            p = world.p_inv if b == 0 else world.agreement[b]
            constant = (
                captions * mention * mean * (1 - p) / (K - 1) if row.average and K > 2 else 0.0
            )
            own = row.coefficient(mean, (K * p - 1) / (K - 1), mention, world.bare, b == 0)
            blocks.append(own * class_means(K) + constant)
    return np.concatenate(blocks, axis=1)
