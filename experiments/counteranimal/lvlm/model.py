"""A vision language model of the transformers library, its prompt, and the tokens of the scored answers.

The model answers a question about a photo; it has no image features. [W] asks "What is the main object in the
image?" and scores each label by the language model's loss on "A <label>". The answer follows the generation prompt of
the model's own chat template. After LLaVA's "ASSISTANT:" it is " A ostrich"; after Qwen's "assistant" and a line break
it is "A ostrich". Code that is stored with a model does not run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from experiments.counteranimal.encoding import DTYPES, Runtime
from experiments.counteranimal.model import one_line
from experiments.errors import RequestError

QUESTION = "What is the main object in the image?"
ANSWER = "A {}"
MARK = "soberclip"  # an answer that occurs nowhere else in a prompt


@dataclass(frozen=True)
class Prompt:
    """A question about a photo, as text with the photo's placeholder in it."""

    text: str
    before: str  # text between prompt and answer: a space in LLaVA's template

    def answered(self, name: str) -> str:
        """Question and answer."""
        return f"{self.text}{self.before}{ANSWER.format(name)}"


@dataclass(frozen=True)
class Answers:
    """Token ids of the answers, from the first token that differs from the bare prompt."""

    ids: tuple[tuple[int, ...], ...]
    dropped: int  # last tokens of the bare prompt that merge with an answer's first token; nearly always 0


def prompt_of(spec: str, processor: Any) -> Prompt:
    """The question in a processor's chat template. Raises RequestError if no template takes a photo."""
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
    """Token ids of a text, with special tokens unless the template has written them already."""
    return processor.tokenizer(text, add_special_tokens=special_tokens(processor, text))["input_ids"]


def special_tokens(processor: Any, text: str) -> bool:
    """Whether the tokenizer should add special tokens: not if the text already begins with one."""
    first = processor.tokenizer.bos_token
    return not (first and text.startswith(first))


def answer_tokens(processor: Any, prompt: Prompt, names: Sequence[str]) -> Answers:
    """The tokens of "A <label>" for each name, cut from prompt and answer tokenised as one text."""
    bare = tokens(processor, prompt.text)
    whole = [tokens(processor, prompt.answered(name)) for name in names]
    same = sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, zip(bare, *whole, strict=False)))
    return Answers(tuple(tuple(ids[same:]) for ids in whole), len(bare) - same)


@dataclass(frozen=True)
class LanguageModel:
    """A model and the processor that turns a photo and a text into its inputs."""

    spec: str
    module: Any  # a transformers model that generates text, in evaluation mode
    processor: Any
    prompt: Prompt
    key: str  # digest of everything that changes an answer
    longest: int | None = None  # context length in tokens, photo included; None if unknown
    settings: dict[str, Any] = field(default_factory=dict)  # weights, prompt, versions: part of every result
    family: str = "LVLM"

    def place(self, runtime: Runtime) -> None:
        """Move the module to the device, with weights in the given precision; autocast would keep them in fp32.

        Computed buffers keep their precision: half-precision rotary frequencies would shift late positions.
        """
        for value in self.module.state_dict(keep_vars=True).values():
            if value.is_floating_point():
                value.data = value.data.to(DTYPES[runtime.precision])
        self.module.to(runtime.device)


@dataclass(frozen=True)
class Inputs:
    """A photo -> the inputs of one forward pass: token ids (including the photo's), pixels, and so on."""

    processor: Any
    text: str
    dropped: int = 0  # last tokens that are left out

    def __call__(self, image: Any) -> dict[str, Any]:
        """Raises ValueError with the reason if the processor refuses the photo: Qwen's refuses very long ones."""
        special = special_tokens(self.processor, self.text)
        try:
            found = self.processor(images=[image], text=[self.text], add_special_tokens=special, return_tensors="pt")
        except Exception as error:  # processors raise different types
            raise ValueError(f"{type(error).__name__}: {one_line(error)}") from error
        shape = found["input_ids"].shape  # the shape of every input with one entry per token
        return {
            name: value[:, : shape[1] - self.dropped] if getattr(value, "shape", None) == shape else value
            for name, value in found.items()
        }


def on_device(inputs: dict[str, Any], like: Any) -> dict[str, Any]:
    """Tensors on the device of the parameter `like`, floating-point ones in its precision; other values unchanged."""
    moved = dict(inputs)
    for name, value in inputs.items():
        if hasattr(value, "is_floating_point"):
            moved[name] = value.to(like.device, like.dtype if value.is_floating_point() else value.dtype)
    return moved
