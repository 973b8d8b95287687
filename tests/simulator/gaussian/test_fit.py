"""Learners fitted to drawn pairs: what a notebook does in three lines."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from reference import contrastive_loss
from stattest import assert_mean, assert_same_law, law_size

from simulator.gaussian import pairs as pairs_module
from simulator.gaussian.fit import fit, sample_covariance
from simulator.gaussian.pairs import DrawnPairs, Pairs, block_size, dictionaries, draw, draw_pairs
from simulator.gaussian.statistics import projected_critics
from simulator.gaussian.supervised import SeparabilityError
from simulator.streams import numpy_stream
from simulator.world import World, Worlds
from theory import learners

WORLD = World(p_spu=0.9, mu_spu=2.0, dim_image=8, dim_text=6, sigma_xi=2.0)
CLASSES = World(classes=3, p_spu=0.8, p_inv=0.9, mu_spu=1.5, dim_image=9, dim_text=8, sigma_xi_text=0.3)


def test_drawn_pairs_are_the_stream_in_one_piece():
    n = block_size(WORLD) + 7
    drawn = WORLD.draw(n, seed=3)
    assert isinstance(drawn, DrawnPairs)
    assert drawn.world is WORLD
    assert len(drawn) == n
    assert all((a == b).all() for a, b in zip(drawn.frames, dictionaries(WORLD, 3), strict=True))
    for name, *blocks in zip(Pairs._fields, *draw_pairs(WORLD, drawn.frames, n, 3), strict=True):
        assert torch.equal(getattr(drawn, name), torch.cat(blocks)), name


def test_more_pairs_than_memory_allows_are_refused_before_any_is_drawn(monkeypatch):
    monkeypatch.setattr(pairs_module, "LARGEST_DRAW", 14 * 100)
    assert len(WORLD.draw(100)) == 100
    with pytest.raises(ValueError, match=r"n = 101 .* 100$"):
        WORLD.draw(101)


@pytest.mark.parametrize("prompt", ["name", "mean"])
@pytest.mark.parametrize("world", [WORLD, CLASSES], ids=["binary", "classes"])
def test_closed_form_clip_on_many_pairs_is_the_populations(world, prompt):
    """In the pairs' own frames; at 200,000 pairs an accuracy deviates by about .0015, a seventh of the tolerance."""
    found = fit("linear", world.draw(200_000, seed=1)).accuracy(prompt)
    expected = learners.named("linear", prompt=prompt).accuracy(world)
    assert tuple(found) == pytest.approx(tuple(map(float, expected)), abs=0.01)


@pytest.mark.deep
@pytest.mark.parametrize("world", [WORLD, CLASSES], ids=["binary", "classes"])
def test_closed_form_clip_follows_its_exact_law(world):
    """Every replicate in frames of its own, at an n where the noise outside them matters."""
    size, n = law_size(0.2, false_alarm=5e-8), 30
    exact = next(projected_critics(world, "mean", n, 1000, 0)), next(projected_critics(world, "mean", n, 1000, 1))
    drawn = [fit("linear", world.draw(n, seed=r)).critic("mean") for r in range(size)]

    def columns(critics):
        inside, outside = (np.concatenate(x)[:size] for x in zip(*critics, strict=True))
        return np.concatenate([inside.reshape(size, -1), outside.reshape(size, -1)], axis=1)

    assert_same_law(columns(exact), columns(drawn), effect=0.2, what="linear CLIP from drawn pairs")


@pytest.mark.parametrize(("width", "n"), [(1, 2000), (None, 40)])
@pytest.mark.parametrize("prompt", ["name", "mean"])
def test_an_accuracy_is_what_drawn_images_show(prompt, width, n):
    """Scores x_I' M D_T q counted on images of the test law, at an n where the noise outside the frame matters."""
    found = fit("linear", WORLD.draw(n, seed=2), embed_dim=width)
    left, values, right = np.linalg.svd(found.weights)
    h = width or len(values)
    M = (left[:, :h] * values[:h]) @ right[:h]
    q = WORLD.prompts(prompt)
    columns = []
    for p in (1.0, 0.0):  # all common, all counter
        test = draw(WORLD.model_copy(update={"p_spu": p}), 20_000, 9, frames=found.frames)
        scores = test.images.numpy() @ M @ found.frames[1] @ q.T
        columns.append(scores.argmax(axis=1) == test.labels.numpy())
    assert_mean(np.stack(columns, axis=1), [*found.accuracy(prompt)], effect=0.06, what=f"{prompt}, {width}")


def test_the_covariance_of_weighted_pairs_by_its_sums():
    rng = np.random.default_rng(0)
    x, t, w = rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), rng.uniform(0.1, 2, size=5)
    together = sum(w[i] * np.outer(x[i], t[i]) for i in range(5)) / 5
    apart = sum(w[i] * w[j] * np.outer(x[i], t[j]) for i in range(5) for j in range(5) if i != j) / 20
    assert sample_covariance(x, t, w) == pytest.approx(together - apart, rel=1e-12)
    assert sample_covariance(x, t, np.ones(5)) == pytest.approx(sample_covariance(x, t), rel=1e-12)


@pytest.mark.parametrize("world", [WORLD, CLASSES], ids=["binary", "classes"])
@pytest.mark.parametrize("estimator", ["logistic", "least-squares"])
def test_supervised_learners_on_many_images_are_the_populations(world, estimator):
    learner = learners.named(estimator)
    if learner.refuses(Worlds.of(world)):
        pytest.skip("theory has no law to compare with")
    found = fit(estimator, world.draw(100_000, seed=1)).accuracy()
    assert tuple(found) == pytest.approx(tuple(map(float, learner.accuracy(world))), abs=0.01)


def test_maximum_margin_separates_its_pairs():
    world = WORLD.model_copy(update={"sigma_inv": 0.1})
    drawn = world.draw(30, seed=0)
    found = fit("max-margin", drawn)
    assert ((1 - 2 * drawn.labels.numpy()) * (drawn.images.numpy() @ found.weights[0])).min() == pytest.approx(1)
    with pytest.raises(SeparabilityError, match="use logistic"):
        fit("max-margin", WORLD.draw(3000))


def test_the_closed_form_minimises_the_printed_loss():
    """Section 6 of Wang et al. as a double sum: at M = S/rho no direction of (W_I, W_T) has a slope, and none falls."""
    rho, rng = 0.3, numpy_stream(0, "test/loss")
    drawn = WORLD.draw(7, seed=5)
    M = fit("linear", drawn).weights / rho
    left, values, right = np.linalg.svd(M, full_matrices=False)
    W_image, W_text = (np.sqrt(values)[:, None] * x for x in (left.T, right))

    def loss(a, b):
        return contrastive_loss(W_image + a, W_text + b, drawn.images.numpy(), drawn.texts.numpy(), rho)

    S = rho * M
    product = (W_image.T @ W_text * S).sum()
    assert loss(0, 0) == pytest.approx(-product + rho / 2 * (M**2).sum(), rel=1e-10)
    for _ in range(5):
        a, b = rng.standard_normal(W_image.shape), rng.standard_normal(W_text.shape)
        h = 1e-4
        assert (loss(h * a, h * b) - loss(-h * a, -h * b)) / (2 * h) == pytest.approx(0, abs=1e-5)
        assert loss(h * a, h * b) + loss(-h * a, -h * b) > 2 * loss(0, 0)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (lambda p: fit("liner", p), "^estimator = 'liner' .* linear$"),
        (lambda p: fit("logistic", p, embed_dim=2), "^embed_dim = 2 .*'logistic'"),
        (lambda p: fit("linear", p, embed_dim=0), "^embed_dim = 0 .* 1$"),
        (lambda p: fit("least-squares", p).accuracy("mean"), "^prompt = 'mean' "),
        (lambda p: fit("linear", WORLD.draw(1)), "^n = 1 .* 2$"),
    ],
)
def test_wrong_requests_are_refused(request_, words):
    with pytest.raises(ValueError, match=words):
        request_(WORLD.draw(10))


def test_a_notebook_without_the_shape_checker():
    """As a stranger imports it: `World` loads no torch, and numbers that are no integers are refused by name."""
    script = """
import sys
from simulator import Attribute, Accuracy, World, Worlds
assert not {"torch", "scipy.stats"} & set(sys.modules)
from simulator import fit
from simulator.gaussian.statistics import projected_critics
pairs = World().draw(20, seed=0)
for request in (
    lambda: World().draw(2.5),
    lambda: World().draw(True),
    lambda: next(projected_critics(World(), "name", 2.5, 1, 0)),
    lambda: next(projected_critics(World(), "name", 20, 1.5, 0)),
    lambda: fit("linear", pairs, embed_dim=1.5),
    lambda: fit("linear", pairs).accuracy("nmae"),
):
    try:
        request()
        print("accepted")
    except ValueError as error:
        print(*str(error).split()[:3])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    refused = ["n = 2.5", "n = True", "n = 2.5", "replicates = 1.5", "embed_dim = 1.5", "prompt = 'nmae'"]
    assert run.stdout.splitlines() == refused
