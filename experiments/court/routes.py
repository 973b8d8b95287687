"""Routes to a quantity: each returns independent replicates of it at one point of a claim's domain.

exact law     training statistics of n pairs from their exact law (simulator.gaussian.statistics); draws no pair
drawn pairs   n pairs drawn one by one (simulator.gaussian.pairs), then the learner fitted to them
drawn images  a population rule applied to n test images drawn from the test law of each group, whatever the
              route of the learner that it is compared with
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from experiments.abilities import ability_of
from experiments.court.search import STEP
from simulator.accuracy import Accuracy, in_words
from simulator.gaussian.critic import LinearCritic, group_accuracy
from simulator.gaussian.statistics import covariance_critic, cross_covariance, decision_prompts, projected_scatter
from simulator.streams import numpy_stream
from simulator.world import World, Worlds, view_noise
from theory.claims.claim import SINGLE, Claim, kept_axis, log_slope, operator_error
from theory.learners.base import Learner
from theory.population import block_covariance

Route = Literal["exact law", "drawn pairs", "drawn images"]


def routes_of(claim: Claim) -> tuple[Route, Route]:
    """(route of the audits, route of the worst point): the exact law where there is one, and drawn data."""
    abilities = [ability_of(s) for s in (claim.subject, claim.against) if s is not None]
    if all(a.images for a in abilities):
        return "drawn images", "drawn images"
    return ("exact law" if all(a.exact for a in abilities) else "drawn pairs"), "drawn pairs"


def counting_deviation(claim: Claim, n: int, route: Route) -> float | None:
    """Largest standard deviation of one replicate where it is known beforehand: decisions counted on n/2 images a
    group vary by at most 1/2 a root of the number; None for the other routes, which need a pilot."""
    if route != "drawn images":
        return None
    groups = 1 if claim.quantity in SINGLE else 2
    learners = 1 if claim.against is None else 2
    return groups * learners * 0.5 / (n // 2) ** 0.5


def measure(
    claim: Claim, point: dict[str, float], n: int, replicates: int, seed: int, route: Route
) -> NDArray[np.float64]:
    """(replicates,) independent values of the claim's quantity at `point`, `against` subtracted.

    For "increasing" the value is q(x) - q(x + step), for "slope" the log-log slope over the claim's grid.
    """
    if claim.relation in ("increasing", "decreasing"):
        later = {**point, claim.along: point[claim.along] + STEP}
        gap = _difference(claim, point, n, replicates, seed, route, "here") - _difference(
            claim, later, n, replicates, seed, route, "later"
        )
        return gap if claim.relation == "increasing" else -gap
    if claim.relation == "slope":
        values = []
        for x in claim.grid:
            here, pairs = ({**point, claim.along: x}, n) if claim.along != "n" else (point, int(x))
            values.append(_difference(claim, here, pairs, replicates, seed, route, f"{claim.along}={x}"))
        return log_slope(claim.grid, np.stack(values, -1))
    return _difference(claim, point, n, replicates, seed, route, "")


def _difference(claim, point, n, replicates, seed, route, name) -> NDArray[np.float64]:
    value = _quantity(claim, claim.subject, point, n, replicates, seed, route, f"{name}/subject")
    if claim.against is None:
        return value
    return value - _quantity(claim, claim.against, point, n, replicates, seed, route, f"{name}/against")


def _quantity(claim, learner: Learner, point, n, replicates, seed, route, name) -> NDArray[np.float64]:
    world, stream = Worlds(**point).world(), f"{claim.id}/{name}"
    if claim.quantity in ("operator-error", "minimiser-rate"):
        return _matrix_errors(claim, world, n, replicates, seed, stream, route)
    if ability_of(learner).images:
        accuracy = _from_images(learner, world, n, replicates, seed, stream)
        return in_words(claim.quantity, accuracy)
    critics = list(learned_critics(world, learner, n, replicates, seed, stream, route))
    inside = np.concatenate([c.inside for c in critics])
    if claim.quantity == "kept-axis":
        return kept_axis(inside[:, 0], block_covariance(Worlds.of(world)))
    if claim.quantity == "reliance":
        return critic_reliance(inside, world)
    mixture = world.mixture()
    accuracy = np.concatenate([group_accuracy(c, mixture, world.nu_image, seed + 1 + i) for i, c in enumerate(critics)])
    return in_words(claim.quantity, Accuracy(*accuracy.T))


def learned_critics(world, learner: Learner, n, replicates, seed, stream, route) -> Iterator[LinearCritic]:
    """Critics of a linear learner trained on n pairs, in blocks, by either route."""
    ability = ability_of(learner)
    if route == "exact law":
        return ability.exact(world, learner, n, replicates, seed, stream)
    if ability.estimator == "linear":
        return _drawn_linear(world, learner, n, replicates, seed, stream)
    return _drawn_supervised(world, ability.estimator, n, replicates, seed, stream)


def critic_reliance(inside: NDArray[np.float64], world: World) -> NDArray[np.float64]:
    """t = u_spu/u_inv of trained critics (R, P, l); for K classes the means over each class's own coordinates."""
    if world.classes == 2:
        return inside[:, 0, 1] / inside[:, 0, 0]
    K = world.classes
    centred = inside - inside.mean(axis=1, keepdims=True)  # a shift common to all classes decides nothing
    own = np.einsum("rkk->rk", centred[:, :, :K]).mean(1), np.einsum("rkk->rk", centred[:, :, K : 2 * K]).mean(1)
    return own[1] / own[0]


def _matrix_errors(claim, world, n, replicates, seed, stream, route) -> NDArray[np.float64]:
    if claim.quantity == "operator-error":
        reference, l = np.asarray(claim.reference(Worlds.of(world))), world.latents
        if route == "exact law":
            V = np.concatenate(list(projected_scatter(world, n, replicates, seed, stream)))
            return operator_error(V[:, :l, l:], reference)
        S = [_drawn_covariance(world, n, seed, f"{stream}/{r}") for r in range(replicates)]
        return operator_error(np.stack(S), reference)
    l = world.latents
    population = np.zeros((world.dim_image, world.dim_text))
    population[:l, :l] = block_covariance(Worlds.of(world))
    return np.array(
        [
            np.linalg.norm(cross_covariance(world, n, numpy_stream(seed, stream, r)) - population, ord=2)
            for r in range(replicates)
        ]
    )


def _drawn_covariance(world, n, seed, stream):
    """D_I' S D_T from drawn pairs, dictionaries the first l coordinates."""
    from simulator.gaussian.pairs import draw_pairs, sample_cross_covariance

    frames = np.eye(world.dim_image, world.latents), np.eye(world.dim_text, world.latents)
    return sample_cross_covariance(draw_pairs(world, frames, n, seed, stream=stream)).numpy()


def _drawn_linear(world, learner: Learner, n, replicates, seed, stream):
    q = decision_prompts(world, learner.prompt)
    frames = np.eye(world.dim_image, world.latents), np.eye(world.dim_text, world.latents)
    for r in range(replicates):
        yield covariance_critic(_drawn_covariance(world, n, seed, f"{stream}/{r}"), q, frames, learner.embed_dim)


def _drawn_supervised(world, estimator: str, n, replicates, seed, stream):
    from simulator.gaussian.pairs import draw_pairs
    from simulator.gaussian.supervised import fit

    frames = np.eye(world.dim_image, world.latents), np.eye(world.dim_text, world.latents)
    for r in range(replicates):
        blocks = list(draw_pairs(world, frames, n, seed, stream=f"{stream}/{r}"))
        images = np.concatenate([b.images.numpy() for b in blocks])
        labels = np.concatenate([b.labels.numpy() for b in blocks])
        yield LinearCritic.of_vectors(fit(estimator, images, labels, world.classes), frames[0])


def _from_images(learner: Learner, world: World, n, replicates, seed, stream) -> Accuracy:
    """Accuracy of a population rule on n drawn test images a replicate, half common, half counter."""
    from simulator.gaussian.pairs import draw_pairs

    l = world.latents
    frames = np.eye(l), np.eye(l)
    accuracy = np.empty((2, replicates))
    for g, p in enumerate((1.0, 0.0)):  # all common, all counter
        test = _narrow(world.test_law().model_copy(update={"p_spu": p}))
        for r in range(replicates):
            right = 0.0
            for block in draw_pairs(test, frames, n // 2, seed, stream=f"{stream}/{g}/{r}"):
                scores = learner.scores(world, block.images.numpy()[:, :l])
                right += _correct(scores, block.labels.numpy())
            accuracy[g, r] = right / (n // 2)
    return Accuracy(*accuracy)


def _narrow(world: World) -> World:
    """The world seen through views as narrow as its latents, coordinate noise and all: what a population rule reads."""
    l = world.latents
    noise = {"sigma_xi": float(view_noise(world.nu_image, l)), "sigma_xi_text": float(view_noise(world.nu_text, l))}
    return world.model_copy(update={"dim_image": l, "dim_text": l, **noise})


def _correct(scores: NDArray[np.float64], labels: np.ndarray) -> float:
    """How many decisions are right; among k classes that tie, 1/k of one."""
    best = scores == scores.max(axis=1, keepdims=True)
    return float((best[np.arange(len(labels)), labels] / best.sum(axis=1)).sum())
