"""One table of objectives: each row is sound, and a new objective is one more row."""

from dataclasses import replace

import pytest
import torch

from simulator.gaussian.pairs import Pairs
from simulator.prompts import LINEAR
from simulator.towers.distributed import ALONE, Group
from simulator.towers.ensemble import Ensemble
from simulator.towers.evaluation import class_vectors, ensemble_accuracy, prompts_of
from simulator.towers.group_batches import draw_batches
from simulator.towers.objectives import OBJECTIVES, Objective, register
from simulator.towers.recipe import Recipe
from simulator.towers.step import measured
from simulator.towers.training import run, start
from simulator.world import Attribute, World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=5, dim_text=4, attribute=(Attribute(p=0.7),))
SMALL = {"width": 6, "depth": 1, "embed_dim": 4, "batch_size": 12, "steps": 5, "warmup": 0, "precision": "float64"}


def ensemble(loss: str, **fields) -> Ensemble:
    towers = "mlp" if "mlp" in OBJECTIVES[loss].towers else "linear"
    return Ensemble(Recipe(**{**SMALL, "loss": loss, "towers": towers, **fields}), (WORLD, WORLD), (0, 1), 3)


@pytest.mark.parametrize("loss", [name for name, row in OBJECTIVES.items() if row.distributed])
def test_the_share_of_a_process_alone_is_the_whole(loss, monkeypatch):
    weighted = torch.tensor([[0.5, 3.0, 2.0, 0.7]] * 2, dtype=torch.float64) if OBJECTIVES[loss].weighted else None
    one = ensemble(loss)._replace(group_weights=weighted)
    row, state, batch = one.recipe.objective, start(one), next(draw_batches(one, 0))
    found = []
    for split in (False, True):
        part = replace(row, loss=lambda batch, split=split: row.loss(batch._replace(split=split)))
        monkeypatch.setitem(OBJECTIVES, loss, part)
        found.append(measured(one, ALONE, state.parameters, batch)["loss"])
    assert torch.allclose(*found, rtol=1e-12)
    plain = measured(one._replace(group_weights=None), ALONE, state.parameters, batch)["loss"]
    assert torch.allclose(found[0], plain) == (weighted is None), "weights reach the loss"


def test_what_towers_become():
    """By towers and temperature; a temperature that is not learned has no law."""
    becomes = {
        (loss, towers): row.learner(Recipe(loss=loss, towers=towers))
        for loss, row in OBJECTIVES.items()
        for towers in ("linear", "mlp", "conv")
        if towers in row.towers
    }
    labels = ("supervised", "perfect-captions", "group-dro")
    assert {key: learner for key, learner in becomes.items() if learner} == {
        ("linear", "linear"): "linear",
        **{(loss, "mlp"): "infonce" for loss in ("infonce", "siglip")},
        **{(loss, "linear"): "logistic" for loss in labels},
        **{(loss, "mlp"): "bayes" for loss in labels},
    }
    for loss in ("infonce", "siglip"):
        for fields in ({"temperature": 5.0}, {"frozen": "text"}, {"text_towers": "linear"}):
            assert OBJECTIVES[loss].learner(Recipe(loss=loss, **fields)) is None


def test_perfect_captions_are_two_plain_cross_entropies():
    """[W] Eq. 10, by torch's own cross-entropy, a model at a time; and classes are asked for by the first head."""
    one = ensemble("perfect-captions")
    state, batch = start(one), next(draw_batches(one, 0))
    found = measured(one, ALONE, state.parameters, batch)["loss"]
    for k in range(2):
        own = {name: value[k] for name, value in state.parameters.items()}
        hidden = torch.tanh(batch.images[k] @ own["image.0.weight"] + own["image.0.bias"])
        I = hidden @ own["image.1.weight"] + own["image.1.bias"] + batch.images[k] @ own["image.skip.weight"]
        heads = (I @ own[f"{head}.weight"] + own[f"{head}.bias"] for head in ("head", "attribute"))
        targets = (batch.labels[k], batch.backgrounds[k, :, 0])
        expected = sum(torch.nn.functional.cross_entropy(*each) for each in zip(heads, targets, strict=True))
        assert torch.allclose(found[k], expected, rtol=1e-12)
    assert torch.equal(class_vectors(one, state.parameters, None), state.parameters["head.weight"].mT)


def test_siglip_without_bias_is_siglip_at_bias_zero():
    one = ensemble("siglip")
    state, batch = start(one), next(draw_batches(one, 0))
    zero = {**state.parameters, "bias": torch.zeros_like(state.parameters["bias"])}
    without = {name: value for name, value in zero.items() if name != "bias"}
    expected = measured(one, ALONE, zero, batch)["loss"]
    bare = one._replace(recipe=one.recipe.model_copy(update={"loss": "siglip-unbiased"}))
    assert torch.equal(measured(bare, ALONE, without, batch)["loss"], expected)


class TestOneOfOnesOwn:
    """Pull pairs together where the first background agrees with the label."""

    @staticmethod
    def agreeing(batch) -> torch.Tensor:
        weight = (batch.backgrounds[..., 0] == batch.labels).to(batch.images.dtype)
        return (weight * (batch.images - batch.texts).square().sum(2)).mean(1)

    @pytest.fixture
    def mine(self):
        yield register(Objective("agreeing", self.agreeing))
        del OBJECTIVES["agreeing"]

    def test_it_trains_and_is_evaluated(self, mine):
        one = ensemble("agreeing", steps=30)
        first, last = (s.measures["loss"] for s in run(one, start(one), [1, 29]) if int(s.step) in (1, 30))
        assert (last < first).all()
        end = [*run(one, start(one), [])][-1]
        assert prompts_of(one.recipe) == LINEAR
        assert ensemble_accuracy(one, end.parameters, "name").shape == (8, 2, 2)

    def test_backgrounds_reach_it(self, mine):
        one = ensemble("agreeing")
        state, batch = start(one), next(draw_batches(one, 0))
        never = Pairs(batch.images, batch.texts, batch.labels, 1 - batch.labels[..., None])
        assert measured(one, ALONE, state.parameters, never)["loss"].tolist() == [0.0, 0.0]
        assert (measured(one, ALONE, state.parameters, batch)["loss"] > 0).all()

    def test_it_runs_in_one_process_and_says_so(self, mine):
        one = ensemble("agreeing")
        with pytest.raises(ValueError, match=r"loss = 'agreeing' .* 2"):
            next(run(one, start(one), [], group=Group(0, 2)))

    def test_names_are_unique(self, mine):
        assert register(mine) is mine
        with pytest.raises(ValueError, match="'infonce'"):
            register(Objective("infonce", self.agreeing))
