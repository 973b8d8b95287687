"""The language model's loss on "A <label>" for many labels, with one pass over photo and question.

The loss is the one that the library returns for labelled tokens: the mean over the answer's tokens of -log p(token |
photo, question, tokens before), in nats. [W] calls it the language model's loss. A mean favours long names whose later
tokens follow from the earlier ones; a sum would favour short names.

Photo and question pass through the model once, and their keys and values are cached. Each batch of answers continues
from a copy of the cache, padded on the right. In a causal model no token sees later ones, so padding needs no mask. The
model counts positions from the cache (for Qwen-VL's three axes too).
"""

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from experiments.counteranimal.lvlm.model import Inputs, LanguageModel, on_device

IGNORED = -100  # a target that cross_entropy leaves out


@torch.inference_mode()
def label_losses(
    module: Any, inputs: dict[str, Any], answers: Sequence[tuple[int, ...]], size: int
) -> Float[np.ndarray, " L"]:
    """The mean loss of each answer after one photo and question."""
    logits, cached = _continued(module, on_device(inputs, next(module.parameters())), 1)
    first = torch.tensor([ids[:1] for ids in answers], device=logits.device)
    total = _losses(logits.expand(len(answers), -1, -1), first)
    order = sorted(range(len(answers)), key=lambda i: len(answers[i]))  # similar lengths need little padding
    longer = [i for i in order if len(answers[i]) > 1]
    for start in range(0, len(longer), size):
        batch = longer[start : start + size]
        ids = [torch.tensor(answers[i], device=logits.device) for i in batch]
        fed = pad_sequence([one[:-1] for one in ids], batch_first=True)
        targets = pad_sequence([one[1:] for one in ids], batch_first=True, padding_value=IGNORED)
        # The reordering of a beam search whose beams all continue from the first: every kind of cache supports it.
        copied = copy.deepcopy(cached)
        copied.reorder_cache(torch.zeros(len(batch), dtype=torch.long))
        logits, _ = _continued(module, {"input_ids": fed}, fed.shape[1], copied)
        total[batch] += _losses(logits, targets)
    return total.cpu().numpy() / np.array([len(ids) for ids in answers])


def plain_loss(model: LanguageModel, image: Any, name: str, answer: tuple[int, ...]) -> float:
    """The loss on one label as the library computes it, from one pass over photo, question and answer: slow."""
    text = model.prompt.answered(name)
    inputs = Inputs(model.processor, text)(image)
    labels = inputs["input_ids"].clone()
    labels[:, : -len(answer)] = IGNORED
    with torch.inference_mode():
        return float(model.module(**on_device({**inputs, "labels": labels}, next(model.module.parameters()))).loss)


def _continued(module: Any, inputs: dict[str, Any], last: int, cached: Any = None) -> tuple[torch.Tensor, Any]:
    """(logits after the last tokens, cached keys and values of everything so far), continued from a cache."""
    known = inspect.signature(module.forward).parameters
    cache = "cache" if "cache" in known else "past_key_values"  # its name before transformers 5.2x
    keep = {"logits_to_keep": last} if "logits_to_keep" in known else {}
    out = module(**inputs, **keep, **({} if cached is None else {cache: cached}), use_cache=True)
    return out.logits[:, -last:], getattr(out, cache)


def _losses(logits: Float[torch.Tensor, "B T V"], targets: torch.Tensor) -> Float[torch.Tensor, " B"]:
    """Sum of -log p over each row's targets, in double precision."""
    each = cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
    return each.double().reshape(targets.shape).sum(dim=1)
