"""An ensemble is many single trainings; a resumed run is an uninterrupted one; a compiled step is
the same step.
"""

import functools
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from simulator.gaussian.pairs import dictionaries as draw_dictionaries
from simulator.gaussian.pairs import draw_pairs
from simulator.towers import training
from simulator.towers.ensemble import Ensemble
from simulator.towers.recipe import Recipe
from simulator.towers.training import State, compiled, learning_rate, run, start
from simulator.world import World

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=8, dim_text=6)
OTHER = WORLD.model_copy(
    update={"p_spu": 0.6, "sigma_inv": 0.5, "sigma_xi": 2.0, "mention_inv": 0.7}
)
SMALL = {
    "width": 6,
    "depth": 2,
    "embed_dim": 4,
    "batch_size": 16,
    "steps": 7,
    "warmup": 2,
    "precision": "float64",
}

RECIPES = [
    Recipe(**SMALL),
    Recipe(**SMALL, loss="supervised", clip=0.5, weight_decay=0.1),
    Recipe(**SMALL, temperature=0.1, activation="relu", n=40),
    Recipe(**SMALL, loss="linear", towers="linear", optimizer="sgd", n=16),
    Recipe(**SMALL, sampler="subsampled", n=500),  # every model's set is cut to a length of its own
    Recipe(**SMALL, loss="linear", towers="linear", sampler="balanced", n=500),
    Recipe(**SMALL, loss="siglip", sampler="reweighted", n=500),
    Recipe(**SMALL, sampler="contradicted"),
    Recipe(**SMALL, sampler="reweighted"),  # fresh pairs, with each world's own shares
    Recipe(**SMALL, points="sobol"),
]
named = pytest.mark.parametrize(
    "recipe", RECIPES, ids=lambda r: f"{r.loss}-{r.towers}-{r.optimizer}-{r.sampler}-{r.points}"
)


def ensemble(recipe: Recipe, **changes) -> Ensemble:
    return Ensemble(recipe, (WORLD, OTHER, WORLD), (0, 1, 2), seed=5)._replace(**changes)


def finish(ensemble: Ensemble, state: State | None = None) -> State:
    return list(run(ensemble, state or start(ensemble), []))[-1]


def logits_of_torch(own: dict[str, torch.Tensor], side: str, x: torch.Tensor) -> torch.Tensor:
    """Embeddings of one model's tower with two tanh layers and a skip, by plain matrix products."""
    hidden = x
    for i in range(2):
        hidden = torch.tanh(hidden @ own[f"{side}.{i}.weight"] + own[f"{side}.{i}.bias"])
    return hidden @ own[f"{side}.2.weight"] + own[f"{side}.2.bias"] + x @ own[f"{side}.skip.weight"]


@pytest.mark.parametrize("limit", [1024, 4], ids=["dense", "tiled"])
@pytest.mark.parametrize("loss", ["infonce", "supervised", "perfect-captions"])
def test_a_training_is_that_of_plain_torch(loss, limit, monkeypatch):
    """One model of an ensemble: the same batches, torch's own cross-entropy, clipping and AdamW."""
    monkeypatch.setattr(training, "LARGEST_DENSE_BATCH", limit)
    recipe = Recipe(
        **SMALL,
        loss=loss,
        optimizer="adamw",
        weight_decay=0.1,
        clip=0.5,
        averaging=0.0,
        schedule="cosine",
    )
    several = ensemble(recipe)
    k = 1
    found = finish(several).parameters
    own = {
        name: value[k].clone().requires_grad_() for name, value in start(several).parameters.items()
    }
    matrices = [p for name, p in own.items() if name.endswith("weight")]
    others = [p for name, p in own.items() if not name.endswith("weight")]
    peer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    )
    for t, batch in zip(range(recipe.steps), training.draw_batches(several, 0), strict=False):
        I = logits_of_torch(own, "image", batch.images[k])
        # one head scores classes, another of perfect captions attributes ([W] Eq. 10)
        if loss != "infonce":
            targets = {"head": batch.labels[k], "attribute": batch.backgrounds[k, :, 0]}
            heads = [head for head in targets if f"{head}.weight" in own]
            scores = [I @ own[f"{head}.weight"] + own[f"{head}.bias"] for head in heads]
            value = sum(
                F.cross_entropy(each, targets[head])
                for each, head in zip(scores, heads, strict=True)
            )
        else:
            T = logits_of_torch(own, "text", batch.texts[k])
            scores = own["log_scale"].exp() * F.normalize(I, dim=-1) @ F.normalize(T, dim=-1).T
            target = torch.arange(len(I))
            value = (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
        peer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_([*own.values()], 0.5)
        for group in peer.param_groups:
            group["lr"] = learning_rate(recipe, t)
        peer.step()
    for name, value in own.items():
        # clipping by torch adds 1e-6 to norms
        assert torch.allclose(found[name][k], value, rtol=1e-6, atol=1e-8), name


@pytest.mark.parametrize("averaging", [0.0, 0.4])
def test_a_frozen_tower_stays_as_it_was_drawn(averaging):
    recipe = Recipe(**SMALL, frozen="text", averaging=averaging)
    first = start(ensemble(recipe))
    last = finish(ensemble(recipe))
    assert last.eval_parameters.keys() == first.parameters.keys()
    for name, value in last.eval_parameters.items():
        assert torch.equal(value, first.parameters[name]) == name.startswith("text."), name


PARTS = ("parameters", "moments", "averages")


def stored(state: State) -> State:
    """The state with its tensors in the order of their names, as a checkpoint returns them."""
    return state._replace(**{part: dict(sorted(getattr(state, part).items())) for part in PARTS})


def same_state(one: State, other: State):
    assert one.step == other.step
    for part in PARTS:
        for name, value in getattr(one, part).items():
            assert torch.equal(value, getattr(other, part)[name]), name


@named
def test_a_run_is_that_of_each_model_alone_and_of_two_halves(recipe):
    """Bit for bit, in float64 on one thread; each model learns, and no global random state is
    touched.
    """
    several, before, numpy_before = (
        ensemble(recipe),
        torch.get_rng_state(),
        np.random.get_state()[1].copy(),  # noqa: NPY002
    )
    first = start(several)
    together = finish(several)
    assert torch.equal(before, torch.get_rng_state())
    assert (numpy_before == np.random.get_state()[1]).all()  # noqa: NPY002
    for k, world in enumerate(several.worlds):
        alone = finish(ensemble(recipe, worlds=(world,), models=(k,)))
        for name, value in together.parameters.items():
            assert torch.equal(value[k], alone.parameters[name][0]), name
            assert not torch.equal(value[k], first.parameters[name][k]), name
            assert not torch.equal(value[0], value[2]), name
    stop = iter([False, False, False, True, True])  # read after steps 1, 2, ...
    half = list(run(several, first, [], stop=lambda: next(stop)))[-1]
    assert half.step == 4
    same_state(finish(several, stored(half)), together)


# Steps of AdamW in float64; the compiler reorders sums, and AdamW divides by roots of small
# numbers.
alike = functools.partial(torch.allclose, rtol=1e-9, atol=1e-9)


def diverges(several: Ensemble, poison, same=torch.equal):
    """Model 1 is frozen at its last finite weights, and the others are `same` as without it."""
    healthy = finish(several._replace(compile=False))
    poison()
    states = list(run(several, start(several), [3]))
    assert states[-1].diverged.tolist() == [-1, 4, -1]
    for name, value in states[-1].parameters.items():
        assert torch.equal(value[1], states[0].parameters[name][1]), (
            "frozen at its last finite weights"
        )
        assert same(value[0], healthy.parameters[name][0]), "the others are unaffected"
        assert torch.isfinite(value).all()


def test_a_diverged_model_is_frozen_and_marked_and_the_others_go_on(poison):
    diverges(ensemble(RECIPES[0]), poison)


@pytest.mark.deep
def test_a_compiled_run_is_the_same_run(poison, monkeypatch):
    """Whole, resumed, and where a model diverges; any number of ensembles may be compiled in one
    process.
    """
    from torch._dynamo.utils import counters  # takes a second

    counters.clear()
    recipe = RECIPES[0].model_copy(update={"towers": "linear"})
    one = ensemble(recipe, compile=True)
    with torch._dynamo.config.patch(recompile_limit=1):
        half, whole = run(one, start(one), [3])
        assert counters["stats"]["unique_graphs"] == 1
        assert not counters["graph_break"]
        for name, value in finish(ensemble(recipe)).parameters.items():
            assert alike(value, whole.parameters[name]), name
        same_state(finish(one, stored(half)), whole)
        # One version more than the limit, as one graph too, whose kernels in C++ would take a
        # minute.
        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
        diverges(ensemble(RECIPES[0], compile=True), poison, alike)


def branching(x: torch.Tensor) -> torch.Tensor:
    return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("TritonMissing", ()),
        ("GPUTooOldForTriton", (SimpleNamespace(name="old", major=6, minor=1),)),
    ],
)
def test_where_a_device_has_no_compiler_the_function_runs_as_it_is(monkeypatch, name, given):
    """Compilation is tried once only."""
    from torch._inductor import exc  # takes a second, in each process that collects this file

    failure = getattr(exc, name)(*given, None)

    def fails(x):
        raise failure

    monkeypatch.setattr(torch, "compile", lambda function, **options: fails)
    reasons = []
    negated = compiled(torch.neg, reasons.append)
    assert [float(negated(torch.ones(()))) for _ in range(2)] == [-1, -1]
    assert len(reasons) == 1
    with pytest.raises(type(failure)):
        compiled(torch.neg)(torch.ones(()))


def test_a_graph_break_is_an_error():
    with pytest.raises(RuntimeError, match="branching"):
        compiled(branching, lambda reason: None)(torch.ones(3))


@pytest.mark.parametrize("bound", [1.0, 100.0])
def test_a_learned_scale_stays_where_clip_keeps_it(bound):
    """In [1, 100] after a long step from either end, for captions that raise the scale and captions
    that lower it.
    """
    one = ensemble(Recipe(**SMALL, optimizer="sgd"))
    begin = start(one)
    log_scale = torch.full((3,), bound, dtype=torch.float64).log()
    begin = begin._replace(parameters={**begin.parameters, "log_scale": log_scale})
    batch = next(training.draw_batches(one, 0))
    for captions in (batch.texts, batch.texts.flip(1)):
        end = training.one_step(
            one, begin, batch._replace(texts=captions), torch.tensor(50.0).double()
        )
        scale = end.parameters["log_scale"].exp()
        assert ((scale >= 1 - 1e-9) & (scale <= 100 * (1 + 1e-9))).all()


@pytest.mark.parametrize("size", [16, 2048, 3000, 5000])
def test_fresh_batches_are_the_stream_cut_at_batch_boundaries(size):
    """Batches within a block of the stream, of half a block, across two blocks, and larger than a
    block.
    """
    frames = draw_dictionaries(WORLD, 5)
    one = ensemble(RECIPES[0].model_copy(update={"batch_size": size}), worlds=(WORLD,), models=(3,))
    batches = training.draw_batches(one, 2)
    pairs = list(draw_pairs(WORLD, frames, 6 * size, 5, stream="train/3"))
    whole = [torch.cat(field) for field in zip(*pairs, strict=True)]
    for t in (2, 3, 4, 5):
        for found, field in zip(next(batches), whole, strict=True):
            assert torch.equal(found[0], field[t * size : (t + 1) * size])


def test_a_batch_of_the_whole_set_is_still_balanced():
    """The common groups have 95 % of the set. 200 pairs of a balanced batch: six deviations are
    .21.
    """
    recipe = RECIPES[5].model_copy(update={"n": 200, "batch_size": 200})
    one = ensemble(recipe, worlds=(WORLD.replace(p_spu=0.95),), models=(0,))
    first, second = itertools.islice(training.draw_batches(one, 0), 2)
    for batch in (first, second):
        assert abs((batch.labels == batch.backgrounds[..., 0]).double().mean() - 0.5) < 0.21
    assert not torch.equal(first.images, second.images)


def test_an_epoch_uses_every_pair_at_most_once():
    recipe = RECIPES[2]  # n = 40, batches of 16: two per epoch
    batches = list(itertools.islice(training.draw_batches(ensemble(recipe), 0), 4))
    for epoch in (batches[:2], batches[2:]):
        images = torch.cat([b.images for b in epoch], dim=1)
        for k in range(3):
            assert len(torch.unique(images[k], dim=0)) == 32
    assert not torch.equal(batches[0].images, batches[2].images)


def test_warm_up_then_half_a_cosine():
    recipe = Recipe(steps=110, warmup=10, lr=1.0, schedule="cosine")
    rates = [learning_rate(recipe, t) for t in range(110)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.5)
    assert 0 < rates[109] < 1e-3
    assert rates == sorted(rates[:11]) + sorted(rates[11:], reverse=True)


def test_a_sequence_has_as_many_points_as_are_read():
    """2^32. For a fixed set n counts, not the number of steps."""
    for fields in ({"steps": 2**27}, {"steps": 2**27 + 1, "n": 64}):
        training.check_ensemble(ensemble(Recipe(points="sobol", batch_size=32, **fields)))
