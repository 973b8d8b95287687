"""The question in a model's own chat template, and the tokens of every answer that is scored.

[W] asks "What is the main object in the image?" and scores each label by the language model's loss on "A <label>". The
answer is the assistant's text in the template, after the generation prompt: after LLaVA's "ASSISTANT:" it is
" A ostrich", after Qwen's "assistant" and a line break "A ostrich".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from experiments.counteranimal.model import one_line
from experiments.errors import RequestError

QUESTION = "What is the main object in the image?"
ANSWER = "A {}"
MARK = "soberclip"  # an answer that occurs nowhere else in a prompt


@dataclass(frozen=True)
class Prompt:
    """A question about a photo, as text with the photo's placeholder in it."""

    text: str
    before: str  # text between it and the answer: a space in LLaVA's template

    def answered(self, name: str) -> str:
        """Question and answer."""
        return f"{self.text}{self.before}{ANSWER.format(name)}"


@dataclass(frozen=True)
class Answers:
    """Token ids of the answers, from the first token that differs from the bare prompt."""

    ids: tuple[tuple[int, ...], ...]
    dropped: int  # tokens at the end of the bare prompt that merge with the answers' first; nearly always 0


def prompt_of(spec: str, processor: Any) -> Prompt:
    """The question in a processor's chat template. Raises RequestError if there is none, or none that takes a photo."""
    question = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    answer = {"role": "assistant", "content": [{"type": "text", "text": MARK}]}
    try:
        text = processor.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
        whole = processor.apply_chat_template([*question, answer], tokenize=False)
    except Exception as error:  # jinja and templates raise different types
        raise RequestError(
            f"{spec} has no chat template that takes a photo and a question ({one_line(error)})"
        ) from error
    # If the generation prompt does not begin an answered turn, the answer follows it directly.
    before = whole[len(text) :].partition(MARK)[0] if whole.startswith(text) and MARK in whole else ""
    return Prompt(text, before)


def tokens(processor: Any, text: str) -> list[int]:
    """Ids of a text, with the tokenizer's special tokens unless the template has written them already."""
    return processor.tokenizer(text, add_special_tokens=special_tokens(processor, text))["input_ids"]


def special_tokens(processor: Any, text: str) -> bool:
    """Whether the tokenizer should add its own; two beginnings of a sentence are a common mistake."""
    first = processor.tokenizer.bos_token
    return not (first and text.startswith(first))


def answer_tokens(processor: Any, prompt: Prompt, names: Sequence[str]) -> Answers:
    """The tokens of "A <label>" for each name, cut from prompt and answer tokenised as one text."""
    bare = tokens(processor, prompt.text)
    whole = [tokens(processor, prompt.answered(name)) for name in names]
    same = sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, zip(bare, *whole, strict=False)))
    return Answers(tuple(tuple(ids[same:]) for ids in whole), len(bare) - same)
