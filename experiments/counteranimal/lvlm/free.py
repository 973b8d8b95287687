"""Answers in a model's own words, and the label that they name.

The rule: lower-cased, a label is named where one of its wordings stands as whole words, also in the plural with s or
es; a wording within a longer one that is found around it does not count ("bear" in "polar bear"). An answer that
names exactly one of the labels that compete is this label; one that names none, or several, is no answer.
"""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import torch

from experiments.counteranimal.lvlm.language import on_device
from experiments.counteranimal.lvlm.scoring import go_on

MOST_TOKENS = 32  # of an answer; the rest of a long one is not asked for


@torch.inference_mode()
def generated(module: Any, inputs: dict[str, Any], ends: Collection[int], most: int = MOST_TOKENS) -> list[int]:
    """Token ids of the greedy answer to one photo and question: at each step the likeliest, up to one that ends it.

    Empty where a step has logits that are not numbers.
    """
    fed, kept, said = on_device(inputs, next(module.parameters())), None, []
    while len(said) < most and not (said and said[-1] in ends):
        logits, kept = go_on(module, fed, 1, kept)
        if logits.isnan().any():
            return []
        said.append(int(logits[0, -1].argmax()))
        fed = {"input_ids": torch.tensor([said[-1:]], device=logits.device)}
    return said


def wordings(name: str) -> tuple[str, ...]:
    """What a label may be called: its name, split where ImageNet's lists separate synonyms.

    >>> wordings("ostrich, Struthio camelus")
    ('ostrich', 'Struthio camelus')
    """
    return tuple(part.strip() for part in name.split(",") if part.strip())


def named(answer: str, labels: Sequence[Sequence[str]]) -> set[int]:
    """Which of the labels an answer names, each given by its wordings.

    >>> labels = [("polar bear", "ice bear"), ("bear",), ("ostrich",)]
    >>> named("A Polar Bear on ice.", labels), named("two bears and an ostrich", labels), named("oystercatcher", labels)
    ({0}, {1, 2}, set())
    """
    text = _plain(answer)
    found = [
        (match.start(), match.end(), label)
        for label, words in enumerate(labels)
        for word in dict.fromkeys(map(_plain, words))
        if word in text  # spares the pattern, of which a thousand labels would need a thousand
        for match in re.finditer(rf"(?<!\w){re.escape(word)}(?:e?s)?(?!\w)", text)
    ]
    return {
        label
        for start, end, label in found
        if not any(s <= start and end <= e and (s, e) != (start, end) for s, e, _ in found)
    }


@lru_cache(maxsize=8192)
def _plain(text: str) -> str:
    """Lower case, and one space for whatever separates words."""
    return " ".join(text.lower().split())
