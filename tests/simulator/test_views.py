"""A kind of views of one's own: one class, tried by adding it and taking it away again."""

from typing import ClassVar, NamedTuple

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from experiments.errors import RequestError
from experiments.lab.config import read_pictures
from simulator.gaussian.pairs import Pairs, draw_codes
from simulator.streams import independent
from simulator.towers.api import train
from simulator.towers.recipe import Recipe
from simulator.views import KINDS, Views, register
from simulator.world import World


class Letters(Views):
    """Images and captions are one-hot codes of what they show; a test image is a pair of object and
    background.
    """

    name: ClassVar[str] = "letters"
    loud: float = 1.0

    def inputs(self, world):
        return dict.fromkeys(("image", "text"), (world.classes + world.background_count,))

    def block_size(self, world):
        return 64

    def written(self, world, objects, backgrounds):
        codes = (
            torch.eye(world.classes)[objects],
            self.loud * torch.eye(world.background_count)[backgrounds],
        )
        return torch.cat(codes, dim=-1)

    def block(self, ensemble, stream, index):
        source = independent(ensemble.seed, index, [f"{stream}/{k}" for k in ensemble.models])
        y, o, a, _ = draw_codes(ensemble.worlds, 64, source, device="cpu")
        codes = self.written(ensemble.worlds[0], o, a[..., 0])
        return Pairs(codes, codes, y, a)

    def trial(self, world, seed, device):
        pairs = torch.cartesian_prod(
            torch.arange(world.classes), torch.arange(world.background_count)
        )
        return Trial(pairs, self, world)

    def accuracies(self, world, trial, shares):
        objects, backgrounds = trial.pairs.numpy().T
        right = shares[:, np.arange(len(trial)), objects]
        common = objects == backgrounds
        return {"common": right[:, common].mean(1), "counter": right[:, ~common].mean(1)}


class Trial(NamedTuple):
    """All pairs of an object and a background."""

    pairs: torch.Tensor
    views: Letters
    world: World

    def __len__(self):
        return len(self.pairs)

    def images(self, rows):
        return self.views.written(self.world, *self.pairs[rows].T)


@pytest.fixture
def letters():
    yield register(Letters)
    del KINDS["letters"]


def test_a_kind_of_views_is_one_class(letters):
    world = World(p_spu=0.75, views={"kind": "letters", "loud": 0.5})
    assert world.views == Letters(loud=0.5)
    assert world.model_dump()["views"] == {"kind": "letters", "loud": 0.5}
    assert World(**world.model_dump(mode="json")) == world
    recipe = Recipe(
        loss="supervised", towers="linear", embed_dim=4, steps=200, batch_size=64, lr=0.05
    )
    found = train(world, recipe, models=2).accuracy()
    assert (float(found.common), float(found.counter)) == (1.0, 1.0)  # objects decide without noise
    with pytest.raises(ValueError, match="worlds are letters, which no formula describes"):
        world.prompts("name")
    with pytest.raises(ValueError, match="needs Gaussian views, not letters"):
        train(world, recipe.model_copy(update={"points": "sobol"}))
    with pytest.raises(RequestError, match="these views are letters"):
        read_pictures(world)


def test_names_of_kinds_are_unique_and_unknown_ones_are_refused(letters):
    assert register(Letters) is Letters, "again"
    with pytest.raises(ValueError, match="named 'letters' is in the table already"):
        register(type("Other", (Letters,), {}))
    with pytest.raises(
        ValidationError, match=r"kind of views = 'letter' is not one of pixels, letters; .* letters"
    ):
        World(views={"kind": "letter"})
    with pytest.raises(ValidationError, match=r"views\.loud"):
        World(views={"kind": "letters", "loud": "very"})
