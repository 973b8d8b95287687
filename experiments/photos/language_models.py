"""Vision language models: a photo and a question, and the loss of each label's answer.

[W] asks "What is the main object in the image?" and scores each label by the language model's loss
on "A <label>", after the generation prompt of the model's own chat template. The loss is the one
that transformers returns: the mean over the answer's tokens of -log p(token | photo, question,
tokens before), in nats. A mean favours long names whose later tokens follow from the earlier ones;
a sum would favour short names.

Photo and question pass through the model once, and their keys and values are cached. Each batch of
answers continues from a copy of the cache, padded on the right. In a causal model no token sees
later ones, so padding needs no mask.
"""

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from experiments.errors import RequestError, RunError, SoberclipError
from experiments.photos.encoding import DTYPES, Encoded, FeatureCache, encode
from experiments.photos.labels import LabelSpace, digest, library
from experiments.photos.libraries import of_transformers, transformers_module
from experiments.photos.model import DISTRIBUTIONS, feature_key, one_line, weights_hash
from experiments.photos.options import Options
from experiments.photos.photos import PhotoSet
from experiments.provenance import versions

QUESTION = "What is the main object in the image?"
ANSWER = "A {}"
MARK = "soberclip"  # an answer that occurs nowhere else in a prompt
# Largest rounding difference between a loss from the cached prefix and from a full pass; relative
# above one nat.
TOLERANCE = {"fp32": 2e-3, "bf16": 0.25, "fp16": 0.05}
SCORE = "minus the mean loss of the tokens of 'A <label>'"
IGNORED = -100  # cross_entropy ignores this target


def prompt_of(spec: str, processor: Any) -> str:
    """What stands before the answer in a chat template. Raises RequestError if the template takes
    no photo.
    """
    question = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}
    ]
    answer = {"role": "assistant", "content": [{"type": "text", "text": MARK}]}
    try:
        text = processor.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
        whole = processor.apply_chat_template([*question, answer], tokenize=False)
    except Exception as error:  # jinja and templates raise different types
        lacks = "no chat template that takes a photo and a question"
        raise RequestError(f"{spec} has {lacks} ({one_line(error)})") from error
    # If the generation prompt does not begin an answered turn, the answer follows it directly.
    return whole.partition(MARK)[0] if whole.startswith(text) and MARK in whole else text


def special_tokens(processor: Any, text: str) -> bool:
    """Whether the tokenizer should add special tokens: not if the text already begins with one."""
    first = processor.tokenizer.bos_token
    return not (first and text.startswith(first))


def answer_tokens(
    processor: Any, prompt: str, names: Sequence[str]
) -> tuple[list[tuple[int, ...]], int]:
    """(tokens of "A <label>" for each name, from prompt and answer tokenised as one text; number of
    merged tokens).
    """
    bare, *whole = (
        processor.tokenizer(text, add_special_tokens=special_tokens(processor, text))["input_ids"]
        for text in (prompt, *(prompt + ANSWER.format(name) for name in names))
    )
    same = sum(
        1 for _ in takewhile(lambda ids: len(set(ids)) == 1, zip(bare, *whole, strict=False))
    )
    return [tuple(ids[same:]) for ids in whole], len(bare) - same


@dataclass(frozen=True)
class LanguageModel:
    """A model and the processor that turns a photo and a text into its inputs."""

    spec: str
    module: Any  # a transformers model that generates text, in evaluation mode
    processor: Any
    prompt: str  # with the photo's placeholder; the answer follows
    key: str  # digest of everything that changes an answer
    longest: int | None = None  # context length in tokens, photo included; None if unknown
    # weights, prompt, versions: part of every result
    settings: dict[str, Any] = field(default_factory=dict)
    family: str = "LVLM"

    def place(self, options: Options) -> None:
        """Move the module to the device, with weights in the given precision; autocast would keep
        them in fp32.
        """
        # Computed buffers keep theirs: half-precision rotary frequencies would shift late
        # positions.
        for value in self.module.state_dict(keep_vars=True).values():
            if value.is_floating_point():
                value.data = value.data.to(DTYPES[options.precision])
        self.module.to(options.device)


def load_language_model(name: str, file: Path | None, options: Options) -> LanguageModel:
    """A causal language model that answers questions about photos, with its own processor."""
    spec = f"lvlm:{name}"
    config = of_transformers(spec, "AutoConfig")
    answering = library("transformers").AutoModelForImageTextToText._model_mapping
    if type(config) not in answering or config.is_encoder_decoder:
        only = (
            "only models with one causal language model that answers a question about a photo can"
            " be scored"
        )
        raise RequestError(
            f"{spec} holds a model of type {config.model_type!r}; {only} (pass a CLIP as hf:)"
        )
    module = transformers_module(spec, "AutoModelForImageTextToText")
    processor = of_transformers(spec, "AutoProcessor")
    # without one part, the library returns the other part alone
    for part in ("tokenizer", "image_processor"):
        if getattr(processor, part, None) is None:
            raise RequestError(
                f"{spec} has no {part.replace('_', ' ')}; put the model's own files beside its"
                " weights"
            )
    prompt = prompt_of(spec, processor)
    weights = weights_hash(module)
    settings = {"weights": name, "weights_hash": weights, "question": QUESTION, "answer": ANSWER}
    settings |= {"prompt": prompt, "versions": versions(DISTRIBUTIONS)}
    # None for tokenizers written in Python
    backend = getattr(processor.tokenizer, "backend_tokenizer", None)
    parts = {
        "weights": weights,
        "config": module.config.to_dict() | {"_name_or_path": None},
        "processor": processor.to_dict(),
        "tokenizer": type(processor.tokenizer).__name__,
        "vocabulary": processor.tokenizer.get_vocab() if backend is None else backend.to_str(),
    }
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    return LanguageModel(
        spec, module.eval(), processor, prompt, feature_key(parts), longest, settings
    )


def photo_inputs(processor: Any, text: str, dropped: int, image: Any) -> Any:
    """Inputs of one forward pass, such as token ids (including the photo's) and pixels, without the
    last tokens.

    Raises ValueError with the reason if the processor refuses the photo: Qwen's refuses very long
    ones.
    """
    special = special_tokens(processor, text)
    try:
        inputs = processor(
            images=[image], text=[text], add_special_tokens=special, return_tensors="pt"
        )
    except Exception as error:  # processors raise different types
        raise ValueError(f"{type(error).__name__}: {one_line(error)}") from error
    shape = inputs["input_ids"].shape  # of every input with one entry per token
    for name, value in inputs.items():
        if getattr(value, "shape", None) == shape:
            inputs[name] = value[:, : shape[1] - dropped]
    return inputs


def score_labels(
    photo_set: PhotoSet, model: LanguageModel, options: Options, space: LabelSpace | None = None
) -> Encoded:
    """Scores of all labels, 0 for those that do not compete."""
    vocabulary = options.vocabulary
    space = space or options.vocabulary.every_label
    # the first word of each label
    names = [(vocabulary.words.get(name) or [name])[0] for name in vocabulary.names]
    competing = {index: space.of(index, len(names)) for index in photo_set.classes}
    every = list(dict.fromkeys(names[k] for labels in competing.values() for k in labels))
    for name, token in product(every, model.processor.tokenizer.all_special_tokens):
        if token in name:  # the model would read <image> in a name as a photo
            raise RequestError(
                f"the label {name!r} holds {token}, a special token of {model.spec}; rename it"
            )
    tokens, dropped = answer_tokens(model.processor, model.prompt, every)
    ids = dict(zip(every, tokens, strict=True))
    # with a full pass, once per run: some architectures cannot continue from a cache
    compared = False

    def scores(indices: list[int], batch: Any) -> Float[torch.Tensor, "1 L"]:
        nonlocal compared
        (i,), (inputs,) = indices, batch
        path = photo_set.photos.path[i]
        labels = competing[photo_set.photos.class_index[i]]
        # labels of one name share an answer, so they tie
        answers = {names[k]: ids[names[k]] for k in labels}
        length = inputs["input_ids"].shape[1] + max(map(len, answers.values()))
        if model.longest is not None and length > model.longest:
            whole = f"the photo {path!r} with the question and the longest label has {length}"
            raise RunError(
                f"{model.spec} reads {model.longest} tokens, but {whole} (finished photos are kept)"
            )
        try:
            model.place(options)
            losses = label_losses(model.module, inputs, list(answers.values()), options.batch_size)
            loss = dict(zip(answers, losses.tolist(), strict=True))
            if not compared and np.isfinite(losses).all():
                compared = True
                _check_prefix(model, photo_set.image(path), answers, loss, options)
        except (SoberclipError, torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # architectures without a cached prefix raise different types
            who = f"{model.spec}, a model of type {model.module.config.model_type!r}"
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise RunError(
                f"{who}, fails on the photo {path!r} ({reason}); finished photos are kept"
            ) from error
        row = torch.zeros(1, len(names))
        row[0, list(labels)] = -torch.tensor([loss[names[k]] for k in labels])
        return row

    rows = {
        index: digest([f"{len(names)}", *(f"{k} {names[k]}" for k in own)])
        for index, own in competing.items()
    }
    photos = zip(photo_set.photos.class_index, photo_set.keys(), strict=True)
    keys = [(f"{rows[index]} {path}", size, time) for index, (path, size, time) in photos]
    store = FeatureCache(options, f"{model.key} {model.prompt}{ANSWER}")
    inputs_of = partial(photo_inputs, model.processor, model.prompt, dropped)
    return encode(photo_set, keys, store, options, inputs_of, scores, batch_size=1)._replace(
        settings={"score": SCORE}
    )


def _check_prefix(
    model: LanguageModel,
    image: Any,
    answers: dict[str, tuple[int, ...]],
    losses: dict[str, float],
    options: Options,
) -> None:
    """Compare the loss of the longest label with the library's own, of one full pass over photo,
    question and label.
    """
    name = max(answers, key=lambda name: len(answers[name]))
    inputs = photo_inputs(model.processor, model.prompt + ANSWER.format(name), 0, image)
    labels = inputs["input_ids"].clone()
    labels[:, : -len(answers[name])] = IGNORED
    inputs["labels"] = labels
    with torch.inference_mode():
        plain = float(model.module(**_moved(inputs, model.module)).loss)
    if not abs(plain - losses[name]) <= TOLERANCE[options.precision] * max(1.0, abs(plain)):
        both = f"{losses[name]:.5g} from a cached prefix, but {plain:.5g} from a full pass"
        kind = f"models of type {model.module.config.model_type!r} cannot be scored this way"
        raise RunError(f"{model.spec} gives {name!r} a loss of {both}; {kind}")


@torch.inference_mode()
def label_losses(
    module: Any, inputs: Any, answers: Sequence[tuple[int, ...]], size: int
) -> Float[np.ndarray, " L"]:
    """The mean loss of each answer after one photo and question."""
    logits, cached = _continued(module, _moved(inputs, module), 1)
    first = torch.tensor([ids[:1] for ids in answers], device=logits.device)
    total = _losses(logits.expand(len(answers), -1, -1), first)
    # similar lengths need little padding
    order = sorted(range(len(answers)), key=lambda i: len(answers[i]))
    longer = [i for i in order if len(answers[i]) > 1]
    for start in range(0, len(longer), size):
        batch = longer[start : start + size]
        ids = [torch.tensor(answers[i], device=logits.device) for i in batch]
        fed = pad_sequence([one[:-1] for one in ids], batch_first=True)
        targets = pad_sequence([one[1:] for one in ids], batch_first=True, padding_value=IGNORED)
        # One copy of the cache per answer, by beam-search reordering, which every kind of cache
        # supports.
        copied = copy.deepcopy(cached)
        copied.reorder_cache(torch.zeros(len(batch), dtype=torch.long))
        logits, _ = _continued(module, {"input_ids": fed}, fed.shape[1], copied)
        total[batch] += _losses(logits, targets)
    return total.cpu().numpy() / np.array([len(ids) for ids in answers])


def _moved(inputs: Any, module: Any) -> Any:
    """Tensors on the module's device, floating-point ones in its precision."""
    like = next(module.parameters())
    return inputs.to(like.device, like.dtype)


def _continued(module: Any, inputs: Any, last: int, cached: Any = None) -> tuple[torch.Tensor, Any]:
    """(logits after the last tokens, cached keys and values of everything so far), continued from a
    cache.
    """
    names = inspect.signature(module.forward).parameters
    cache = "cache" if "cache" in names else "past_key_values"  # its name before transformers 5.2x
    keep = {"logits_to_keep": last} if "logits_to_keep" in names else {}
    out = module(**inputs, **keep, **({} if cached is None else {cache: cached}), use_cache=True)
    return out.logits[:, -last:], getattr(out, cache)


def _losses(
    logits: Float[torch.Tensor, "B T V"], targets: torch.Tensor
) -> Float[torch.Tensor, " B"]:
    """Sum of -log p over each row's targets, in double precision."""
    each = cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return each.double().reshape(targets.shape).sum(dim=1)
