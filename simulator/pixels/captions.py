"""Captions of pixel worlds, as one-hot vectors or as tokens of a sentence.

A caption mentions an object or none, and an attribute or none. So all captions of a world are one table of (K + 1) x
(K + 1) entries; the last row and column mean "not mentioned". A prompt is a set of entries with weights.

    one-hot     [object | attribute], zeros for what is not mentioned: 2K numbers, as in [W]
    tokens      "a photo of a seven in red", one token per word; 0 pads short sentences
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

from simulator.pixels.scenery import Scenery
from simulator.prompts import Prompt

if TYPE_CHECKING:
    from simulator.world import World

PADDING = ""  # token 0
PREPOSITIONS = {"object-colour": "in", "background-colour": "on", "photos": "on"}


def sentence(scene: Scenery, an_object: int | None, attribute: int | None) -> str:
    """A caption in words, with "a" before every noun, as in CLIP's own templates."""
    words = ["a", "photo"]
    if an_object is not None:
        words += ["of", "a", scene.objects.names[an_object]]
    if attribute is not None:
        words += [PREPOSITIONS[scene.views.attribute], scene.shown[attribute]]
    return " ".join(words)


def vocabulary(scene: Scenery) -> tuple[str, ...]:
    """Every word of a world's captions; a word's index is its token."""
    words = ("a", "photo", "of", PREPOSITIONS[scene.views.attribute], *scene.objects.names, *scene.shown)
    return (PADDING, *dict.fromkeys(words))


@lru_cache(maxsize=8)
def table(scene: Scenery) -> Float[torch.Tensor, "M M L"] | Int[torch.Tensor, "M M L"]:
    """All captions of a world, [object][attribute]; the last index means "not mentioned"."""
    K, device = len(scene.objects.names), scene.bare.device
    if scene.views.captions == "one-hot":
        own = torch.eye(K + 1, device=device)[:, :K]
        return torch.cat([own[:, None].expand(-1, K + 1, -1), own[None].expand(K + 1, -1, -1)], dim=-1)
    place = {word: i for i, word in enumerate(vocabulary(scene))}
    classes = [*range(K), None]
    captions = [[place[word] for word in sentence(scene, o, a).split()] for o in classes for a in classes]
    longest = max(map(len, captions))
    padded = [caption + [0] * (longest - len(caption)) for caption in captions]
    return torch.tensor(padded, device=device).unflatten(0, (K + 1, K + 1))


def write(
    scene: Scenery, objects: Int[torch.Tensor, "*n"], attributes: Int[torch.Tensor, "*n"], mentioned: torch.Tensor
) -> torch.Tensor:
    """Captions of pairs, (*n, L)."""
    K = len(scene.objects.names)
    rows = (torch.where(mentioned[..., b], code, K) for b, code in enumerate((objects, attributes)))
    return table(scene)[tuple(rows)]


def law_of_captions(world: "World") -> Float[np.ndarray, "K M M"]:
    """Probability of each caption given the label under the training law, indexed like `table`."""
    K, own = world.classes, np.eye(world.classes)
    shown = np.where(own, world.p_inv, (1 - world.p_inv) / (K - 1))
    objects = own if world.views.told == "label" else shown
    named, shown = (
        np.concatenate([mention * law, np.full((K, 1), 1 - mention)], axis=1)
        for law, mention in ((objects, world.mention_inv), (world.background_law(), world.mention_spu))
    )
    return named[:, :, None] * shown[:, None, :]


def prompts(world: "World", prompt: Prompt) -> Float[np.ndarray, "K M M"]:
    """Weights of the captions of `table` in each class's prompt; they sum to 1 for every class.

    "name" and "background" have one caption each. The others weigh the training captions of the class; the caller
    averages captions, embeddings or scores.
    """
    K = world.classes
    if prompt in ("name", "background"):
        own = np.arange(K)
        tied = np.isin(own, world.views.tied_of(K)) & (prompt == "background")
        weights = np.zeros((K, K + 1, K + 1))
        weights[own, own, np.where(tied, own, K)] = 1
        return weights
    return law_of_captions(world)
