"""Captions of pixel worlds: one-hot vectors, as in [W], and the same in words.

A caption mentions an object or none, and an attribute or none. So all captions of a world are one
table of (K + 1) x (A + 1) entries; the last row and column mean "not mentioned". A prompt is a set
of entries with weights.
"""

import numpy as np
import torch
from jaxtyping import Float

from simulator.pixels.scenery import Scenery
from simulator.prompts import Prompt
from simulator.world import World

PREPOSITIONS = {"object-colour": "in", "background-colour": "on", "photos": "on"}


def sentence(scene: Scenery, an_object: int | None, attribute: int | None) -> str:
    """A caption in words, with "a" before every noun, as in CLIP's own templates."""
    words = ["a", "photo"]
    if an_object is not None:
        words += ["of", "a", scene.objects.names[an_object]]
    if attribute is not None:
        words += [PREPOSITIONS[scene.views.attribute], scene.shown[attribute]]
    return " ".join(words)


def table(
    classes: int, attributes: int, device: torch.device | str = "cpu"
) -> Float[torch.Tensor, "O A L"]:
    """All captions of a world, [object][attribute], as [object | attribute] with zeros for what is
    not mentioned.
    """
    objects = torch.eye(classes + 1, device=device)[:, :classes]
    backgrounds = torch.eye(attributes + 1, device=device)[:, :attributes]
    both = (
        objects[:, None].expand(-1, len(backgrounds), -1),
        backgrounds[None].expand(len(objects), -1, -1),
    )
    return torch.cat(both, dim=-1)


def law_of_captions(world: World) -> Float[np.ndarray, "K O A"]:
    """Probability of each caption given the label under the training law, indexed like `table`."""
    K = world.classes
    own = np.eye(world.classes)
    p_object = np.where(own, world.p_inv, (1 - world.p_inv) / (K - 1))
    objects = own if world.views.told == "label" else p_object
    of_object, of_background = (
        np.concatenate([mention * law, np.full((K, 1), 1 - mention)], axis=1)
        for law, mention in (
            (objects, world.mention_inv),
            (world.background_law(), world.mention_spu),
        )
    )
    return of_object[:, :, None] * of_background[:, None, :]


def prompts(world: World, prompt: Prompt) -> Float[np.ndarray, "K O A"]:
    """Weights of the captions of `table` in each class's prompt: one caption, or the class's
    training captions.
    """
    if prompt not in ("name", "background"):
        return law_of_captions(world)
    K, A = world.classes, world.background_count
    usual = world.usual_backgrounds() if prompt == "background" else [()] * K
    weights = np.zeros((K, K + 1, A + 1))
    for y, own in enumerate(usual):
        weights[y, y, list(own) or [A]] = 1 / max(1, len(own))
    return weights
