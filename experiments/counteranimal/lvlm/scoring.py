"""Labels scored by the language model's loss on "A <label>", many on one pass over photo and question.

The loss is the one that the library returns for labelled tokens, the mean over the answer's tokens of -log p(token |
photo, question, tokens before), in nats; a label's score is minus this. It is what [W] calls the language model's
loss. A mean favours long names whose later tokens follow from the earlier ones; a sum would favour short names.

Photo, question and the tokens that all answers begin with pass through the model once, and their keys and values are
kept. Each batch of answers goes on from a copy of them, padded on the right: in a causal model no token sees what
follows it, so padding needs no mask, and the model counts positions on from the kept ones itself (for Qwen-VL's three
axes as well).
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

from experiments.counteranimal.lvlm.language import Inputs, LanguageModel, on_device
from experiments.counteranimal.lvlm.prompt import shared_length, special_tokens

IGNORED = -100  # a target that cross_entropy leaves out


@torch.inference_mode()
def label_losses(
    module: Any, inputs: dict[str, Any], dropped: int, answers: Sequence[tuple[int, ...]], size: int
) -> Float[np.ndarray, " L"]:
    """The mean loss of each answer after one photo and question."""
    inputs = on_device(inputs, next(module.parameters()))
    common = min(shared_length(answers[0], ids) for ids in answers)
    common = min(common, min(map(len, answers)) - 1)  # something of each answer is left to predict
    prefix = extended(inputs, dropped, answers[0][:common])
    logits, kept = go_on(module, prefix, common + 1)
    targets = torch.tensor([(*answers[0][:common], ids[common]) for ids in answers], device=logits.device)
    total = _losses(logits.expand(len(answers), -1, -1), targets)
    order = sorted(range(len(answers)), key=lambda i: len(answers[i]))  # alike in length, little padding
    longer = [i for i in order if len(answers[i]) > common + 1]
    for start in range(0, len(longer), size):
        batch = longer[start : start + size]
        rest = [torch.tensor(answers[i][common:], device=logits.device) for i in batch]
        fed = pad_sequence([ids[:-1] for ids in rest], batch_first=True)
        targets = pad_sequence([ids[1:] for ids in rest], batch_first=True, padding_value=IGNORED)
        total[batch] += _losses(
            go_on(module, {"input_ids": fed}, fed.shape[1], _repeated(kept, len(batch)))[0], targets
        )
    return total.cpu().numpy() / np.array([len(ids) for ids in answers])


def plain_loss(model: LanguageModel, image: Any, name: str, answer: tuple[int, ...]) -> float:
    """The loss on one label as the library computes it, from one pass over photo, question and answer: slow, plain."""
    text = model.prompt.answered(name)
    inputs = Inputs(model.processor, text, special_tokens(model.processor, text))(image)
    labels = inputs["input_ids"].clone()
    labels[:, : -len(answer)] = IGNORED
    with torch.inference_mode():
        return float(model.module(**on_device({**inputs, "labels": labels}, next(model.module.parameters()))).loss)


def extended(inputs: dict[str, Any], dropped: int, more: Sequence[int]) -> dict[str, Any]:
    """Inputs without their last `dropped` tokens and with `more` text tokens at the end."""
    ids = inputs["input_ids"]
    shape, end = ids.shape, ids.shape[1] - dropped
    new = torch.tensor([more], dtype=ids.dtype, device=ids.device).reshape(1, -1)
    found = dict(inputs)
    for name, value in inputs.items():  # what has one entry per token; for text the mask is 1 and the type 0
        if getattr(value, "shape", None) == shape:
            tail = {"input_ids": new, "attention_mask": torch.ones_like(new)}.get(name, torch.zeros_like(new))
            found[name] = torch.cat([value[:, :end], tail.to(value.dtype)], dim=1)
    return found


def go_on(module: Any, inputs: dict[str, Any], last: int, kept: Any = None) -> tuple[torch.Tensor, Any]:
    """(logits after the last so many tokens, keys and values of everything so far), from kept ones on."""
    known = inspect.signature(module.forward).parameters
    cache = "cache" if "cache" in known else "past_key_values"  # its name before transformers 5.2x
    keep = {"logits_to_keep": last} if "logits_to_keep" in known else {}
    out = module(**inputs, **keep, **({} if kept is None else {cache: kept}), use_cache=True)
    return out.logits[:, -last:], getattr(out, cache)


def _losses(logits: Float[torch.Tensor, "B T V"], targets: torch.Tensor) -> Float[torch.Tensor, " B"]:
    """Sum of -log p over each row's targets, in double precision."""
    each = cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none")
    return each.double().reshape(targets.shape).sum(dim=1)


def _repeated(kept: Any, times: int) -> Any:
    """A copy of the kept keys and values for each of so many answers; going on would change the original.

    It is the reordering of a beam search, all of whose beams go on from the first: every kind of cache has it, those
    of linear attention as well.
    """
    copied = copy.deepcopy(kept)
    copied.reorder_cache(torch.zeros(times, dtype=torch.long))
    return copied
