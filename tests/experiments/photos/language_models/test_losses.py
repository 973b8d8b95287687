"""Losses from a cached prefix equal those of full passes for labels of any length, and cost far fewer tokens."""

from itertools import product

import numpy as np
import pytest
import tiny_lvlm
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiments.photos.language_models import Inputs, Prompt, answer_tokens, label_losses, plain_loss

NAMES = ["cat", "ostrich", "black-and-tan coonhound", "sea lion", "bear", "x", "bear of the sea"]
# Single precision sums products in another order: 7 digits, some hundred terms per logit.
NEAR = {"rtol": 1e-5, "atol": 1e-5}


def inputs_of(model, image):
    return Inputs(model.processor, model.prompt.text)(image)


def losses(model, image, names=NAMES, size=64):
    answers, _ = answer_tokens(model.processor, model.prompt, names)
    return label_losses(model.module, inputs_of(model, image), answers, size)


def whole_loss(module, inputs, ids):
    """The library's loss for the prompt with an answer's tokens; text tokens have mask 1 and type 0."""
    tails = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
    shape, zeros = inputs["input_ids"].shape, torch.zeros(1, len(ids))
    whole = {
        name: torch.cat([value, tails.get(name, zeros).to(value.dtype)], 1) if value.shape == shape else value
        for name, value in inputs.items()
    }
    labels = whole["input_ids"].clone()
    labels[:, : -len(ids)] = -100
    with torch.no_grad():
        return float(module(**whole, labels=labels).loss)


def library_losses(model, image, prompt, spoken):
    """The library's loss for labelled tokens, from texts only, without our answer tokens."""

    def inputs(text):
        return model.processor(images=[image], text=[text], return_tensors="pt")

    start, found = inputs(prompt)["input_ids"].shape[1], []
    for answer in spoken:
        whole = inputs(prompt + answer)
        labels = torch.where(torch.arange(whole["input_ids"].shape[1]) < start, -100, whole["input_ids"])
        with torch.no_grad():
            found.append(float(model.module(**whole, labels=labels).loss))
    return found


@pytest.mark.parametrize("family", tiny_lvlm.FAMILIES)
def test_scores_are_the_librarys_loss(model, image, family):
    one, photo = model(family), image(50, 40)
    space = " " if family == "llava" else ""
    expected = library_losses(one, photo, one.prompt.text, [f"{space}A {name}" for name in NAMES])
    assert np.ptp(expected) > 0.5  # labels differ by much more than the tolerance
    for size in (1, 3, 64):
        np.testing.assert_allclose(losses(one, photo, size=size), expected, **NEAR)


@pytest.mark.parametrize("family", tiny_lvlm.FAMILIES)
def test_photos_before_leave_no_trace(model, image, family):
    one = model(family)
    photos = [image(50, 40), image(200, 40, 1), image(40, 130, 2)]  # Qwen gives them other shapes
    alone = [losses(one, photo) for photo in photos]
    assert len({inputs_of(one, photo)["input_ids"].shape for photo in photos}) > (family != "llava")
    for k in (2, 0, 1, 0):
        np.testing.assert_array_equal(losses(one, photos[k]), alone[k])
    assert all(np.ptp([a[i] for a in alone]) > 1e-3 for i in range(len(NAMES)))  # losses depend on the photo


def test_answers_that_replace_the_prompts_last_token(model, image):
    one, photo = model("llava"), image(50, 40)
    prompt = Prompt("USER: <image>\nWhat? ASSISTANT: ", "")
    answers, dropped = answer_tokens(one.processor, prompt, NAMES)
    assert dropped == 1
    found = label_losses(one.module, Inputs(one.processor, prompt.text, dropped)(photo), answers, 64)
    expected = library_losses(one, photo, "USER: <image>\nWhat? ASSISTANT:", [f" A {name}" for name in NAMES])
    np.testing.assert_allclose(found, expected, **NEAR)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([40, 41, 300]), min_size=1, max_size=5), min_size=1, max_size=6),
    st.integers(1, 4),
    st.sampled_from(["llava", "qwen2_vl"]),
)
@example([[40]], 1, "llava")  # nothing beyond the first token
@example([[40, 41], [40, 41], [40, 41]], 2, "llava")  # equal answers
@example([[40], [40, 41], [40, 41, 300]], 1, "qwen2_vl")  # each a prefix of the next
@example([[40, 41, 300, 300], [40, 41, 41]], 2, "qwen2_vl")  # a common beginning
def test_any_answers(model, image, answers, size, family):
    one = model(family)
    inputs = inputs_of(one, image(50, 40))
    expected = [whole_loss(one.module, inputs, ids) for ids in answers]
    found = label_losses(one.module, inputs, [tuple(ids) for ids in answers], size)
    np.testing.assert_allclose(found, expected, **NEAR)


@pytest.mark.parametrize("family", tiny_lvlm.FAMILIES)
def test_twenty_labels_cost_at_least_five_times_fewer_tokens(model, image, family):
    """A photo has 256 patches, an eighth of its tokens in LLaVA-1.5."""
    one, photo, seen = model(family, 128), image(128, 128), []
    labels = [
        " ".join(pair) for pair in product(("red", "blue", "grey", "tan"), ("bear", "fish", "bird", "cat", "dog"))
    ]
    inputs = one.module.get_input_embeddings()
    hook = inputs.register_forward_hook(lambda _, arguments, __: seen.append(arguments[0].numel()))
    losses(one, photo, labels)
    shared = sum(seen)
    for name, ids in zip(labels, answer_tokens(one.processor, one.prompt, labels)[0], strict=True):
        plain_loss(one, photo, name, ids)
    hook.remove()
    assert sum(seen) - shared >= 5 * shared > 0
