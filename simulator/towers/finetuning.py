"""Fine-tuning of a pretrained CLIP on pairs of a pixel world.

I is an image's and T a caption's embedding, both of norm 1, s the scale from pretraining, which
stays:

    infonce      mean of the cross-entropies of s I T' over a batch's captions and over its images:
                 CLIP's own loss
    supervised   cross-entropy of s I W' + b over the classes, by a linear head that is zero at
                 first

AdamW trains all other weights on which the loss depends, and decays matrices only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch.nn import functional as F

from simulator.pixels.captions import sentence
from simulator.pixels.groups import Trial
from simulator.pixels.pairs import Scenes, first_scenes
from simulator.pixels.scenery import Scenery
from simulator.streams import numpy_stream
from simulator.towers import losses
from simulator.towers.recipe import Recipe
from simulator.towers.training import learning_rate
from simulator.world import World

TEMPERATURE = ("logit_scale", "logit_bias")  # not trained
IMAGE_TOWER = "visual."
EVAL_BATCH = 64  # images


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A CLIP with open_clip's attribute names, its tokenizer and its image statistics."""

    module: torch.nn.Module
    tokenizer: Callable[[list[str]], torch.Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def device(self) -> torch.device:
        return self.module.logit_scale.device

    @cached_property
    def scale(self) -> Float[torch.Tensor, ""]:
        """s, the pretrained factor of cosines."""
        return self.module.logit_scale.detach().exp().reshape(())

    def images(self, pixels: UInt8[torch.Tensor, "n 3 S S"]) -> Float[torch.Tensor, "n h"]:
        """Embeddings of images, of norm 1."""
        mean = torch.tensor(self.mean, device=self.device).reshape(3, 1, 1)
        std = torch.tensor(self.std, device=self.device).reshape(3, 1, 1)
        return F.normalize(
            self.module.encode_image((pixels.to(self.device).float() / 255 - mean) / std), dim=-1
        )

    def texts(self, tokens: Int[torch.Tensor, "n L"]) -> Float[torch.Tensor, "n h"]:
        """Embeddings of sentences, of norm 1."""
        return F.normalize(self.module.encode_text(tokens.to(self.device)), dim=-1)


def zero_head(model: Pretrained, classes: int) -> torch.nn.Linear:
    """A head on the image tower, zero at first, so that no random number is drawn."""
    pixels = torch.zeros(
        1, 3, *np.broadcast_to(model.module.visual.image_size, 2), dtype=torch.uint8
    )
    with torch.no_grad():
        head = torch.nn.utils.skip_init(
            torch.nn.Linear, model.images(pixels).shape[1], classes, device=model.device
        )
        for values in head.parameters():
            values.zero_()
    return head


def caption_tokens(model: Pretrained, scene: Scenery) -> Int[torch.Tensor, "M M L"]:
    """Every caption of a world in the model's tokens, [object][attribute]; the last index means
    "not mentioned".
    """
    classes = [*range(len(scene.objects.names)), None]
    sentences = [
        sentence(scene, an_object, attribute) for an_object in classes for attribute in classes
    ]
    return model.tokenizer(sentences).unflatten(0, (len(classes), len(classes)))


class PairSet:
    """The first n pairs of a world's stream: scenes, rendered batch by batch, and caption
    tokens.
    """

    def __init__(
        self,
        scene: Scenery,
        tokens: Int[torch.Tensor, "M M L"],
        world: World,
        n: int,
        seed: int,
        stream: str,
    ):
        self.scene, self.tokens, self.seed, self.stream = scene, tokens, seed, stream
        self.scenes = first_scenes(world, n, seed, stream)

    def batches(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield (images, tokens, labels) without end; the remainder of an epoch is left out."""
        n = len(self.scenes.labels)
        epoch = 0
        while True:
            order = torch.from_numpy(
                numpy_stream(self.seed, f"order of {self.stream}", epoch).permutation(n)
            )
            for rows in order[: n - n % size].split(size):
                yield self.pick(rows)
            epoch += 1

    def pick(
        self, rows: Int[torch.Tensor, " B"]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        picked = Scenes(*(None if field is None else field[rows] for field in self.scenes))
        images = self.scene.render(picked.scans, picked.attributes, picked.photos)
        return images, self.tokens[picked.captions.unbind(-1)], picked.labels


def finetune(
    model: Pretrained,
    head: torch.nn.Linear | None,
    recipe: Recipe,
    pairs: PairSet,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[float]:
    """Train in place and return the loss of every step; stop at the first loss that is not
    finite.
    """
    optimizer = _adamw(model, head, recipe)
    step_losses: list[float] = []
    with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
        torch.manual_seed(
            int(numpy_stream(pairs.seed, f"layers of {pairs.stream}").integers(2**32))
        )
        model.module.train()
        for step, (images, tokens, labels) in zip(
            range(recipe.steps), pairs.batches(recipe.batch_size), strict=False
        ):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, step)
            I = model.images(images)
            # equal captions of two pairs are negatives of each other, as in CLIP's loss
            if head is None:
                loss = losses.infonce(I[None], model.texts(tokens)[None], model.scale[None])[0]
            else:
                loss = losses.supervised(
                    head(model.scale * I)[None], labels[None].to(model.device)
                )[0]
            step_losses.append(float(loss.detach()))
            if not torch.isfinite(loss):
                break
            optimizer.zero_grad()
            loss.backward()
            if recipe.clip is not None:
                torch.nn.utils.clip_grad_norm_(
                    [p for g in optimizer.param_groups for p in g["params"]], recipe.clip
                )
            optimizer.step()
            advance(1)
        model.module.eval()
    return step_losses


def _adamw(model: Pretrained, head: torch.nn.Linear | None, recipe: Recipe) -> torch.optim.AdamW:
    """The optimiser of both towers without a head, else of the image tower and the head."""
    parameters = [
        (name, value) for name, value in model.module.named_parameters() if name not in TEMPERATURE
    ]
    trained = [value for name, value in parameters if head is None or name.startswith(IMAGE_TOWER)]
    trained += [] if head is None else head.parameters()
    decays = {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay}
    return torch.optim.AdamW(
        [decays, {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0}], recipe.lr
    )


@torch.no_grad()
def predicted(
    model: Pretrained,
    head: torch.nn.Linear | None,
    tokens: Int[torch.Tensor, "M M L"],
    trial: Trial,
) -> Int[torch.Tensor, " N"]:
    """Predicted class per image of a trial: by the nearest caption "a photo of a NAME", or by the
    head.
    """
    K = len(tokens) - 1
    names = model.texts(tokens[torch.arange(K, device=tokens.device), K]) if head is None else None
    answers = []
    for first in range(0, len(trial), EVAL_BATCH):
        I = model.images(trial.images(slice(first, first + EVAL_BATCH)))
        scores = I @ names.mT if head is None else head(model.scale * I)
        answers.append(scores.argmax(-1).cpu())
    return torch.cat(answers)
