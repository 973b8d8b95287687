"""Routes to a quantity: each returns independent replicates of it at one point of a claim's domain.

exact law     training statistics of n pairs from their exact law (simulator.gaussian.statistics); draws no pair
drawn pairs   n pairs drawn one by one (simulator.gaussian.pairs), then the learner fitted to them
drawn images  a population rule applied to n test images drawn from the test law of each group, whatever the
              route of the learner that it is compared with
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulator.gaussian.critic import LinearCritic, group_accuracy
from simulator.gaussian.statistics import (
    covariance_critic,
    cross_covariance,
    decision_prompts,
    labelled_moments,
    projected_critics,
    projected_scatter,
    truncated_critics,
)
from simulator.streams import numpy_stream
from simulator.world import World
from theory.claims.claim import (
    Claim,
    Point,
    Subject,
    blocks_of,
    group_quantity,
    kept_axis,
    log_slope,
    operator_error,
)
from theory.population import block_covariance

Route = Literal["exact law", "drawn pairs", "drawn images"]

# Population rules without a law for their training statistics are applied to drawn images instead.
RULES = ("infonce", "bayes")


def routes_of(claim: Claim) -> tuple[Route, Route]:
    """(route of the audits, route of the worst point): the exact law where there is one, and drawn data."""
    learners = {s.learner for s in (claim.subject, claim.against) if s is not None}
    if learners <= set(RULES):
        return "drawn images", "drawn images"
    lawless = learners & {*RULES, "logistic"}
    return ("drawn pairs" if lawless else "exact law"), "drawn pairs"


def counting_deviation(claim: Claim, n: int, route: Route) -> float | None:
    """Largest standard deviation of one replicate where it is known beforehand: decisions counted on n/2 images a
    group vary by at most 1/2 a root of the number; None for the other routes, which need a pilot."""
    if route != "drawn images":
        return None
    groups = 1 if claim.quantity in ("common", "counter", "error-counter") else 2
    learners = 1 if claim.against is None else 2
    return groups * learners * 0.5 / (n // 2) ** 0.5


def measure(claim: Claim, point: Point, n: int, replicates: int, seed: int, route: Route) -> NDArray[np.float64]:
    """(replicates,) independent values of the claim's quantity at `point`, `against` subtracted.

    For "increasing" the value is q(x) - q(x + step), for "slope" the log-log slope over the claim's grid.
    """
    if claim.relation == "increasing":
        later = {**point, claim.along: point[claim.along] + claim.step}
        return _difference(claim, point, n, replicates, seed, route, "here") - _difference(
            claim, later, n, replicates, seed, route, "later"
        )
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


def world_of(point: Point) -> World:
    """The smallest world at a point: views as narrow as the latents, unless the point names a dimension."""
    fields = {name: float(value) for name, value in point.items() if name in World.model_fields and name != "classes"}
    classes = int(point.get("classes", 2))
    latents = 2 * (1 if classes == 2 else classes)
    dim = int(point.get("dim", latents))
    sigma_xi = float(point["sigma_xi"]) if "sigma_xi" in point else float(np.sqrt(point.get("nu", 0.0) * dim))
    fields.pop("sigma_xi", None)
    return World(**fields, classes=classes, sigma_xi=sigma_xi, dim_image=dim, dim_text=dim)


def _quantity(claim, subject: Subject, point, n, replicates, seed, route, name) -> NDArray[np.float64]:
    world, stream = world_of(point), f"{claim.id}/{name}"
    if claim.quantity in ("operator-error", "minimiser-rate"):
        return _matrix_errors(claim, world, point, n, replicates, seed, stream, route)
    if subject.learner in RULES:
        return _from_images(claim.quantity, subject, world, point, n, replicates, seed, stream)
    critics = list(learned_critics(world, subject, n, replicates, seed, stream, route))
    inside = np.concatenate([c.inside for c in critics])
    if claim.quantity == "kept-axis":
        return kept_axis(inside[:, 0], block_covariance(blocks_of(point)))
    if claim.quantity == "reliance":
        return critic_reliance(inside, world)
    mixture = world.mixture()
    accuracy = np.concatenate([group_accuracy(c, mixture, world.nu_image, seed + 1 + i) for i, c in enumerate(critics)])
    return group_quantity(claim.quantity, accuracy[:, 0], accuracy[:, 1])


def learned_critics(world, subject: Subject, n, replicates, seed, stream, route):
    """Critics of a linear learner trained on n pairs, in blocks, by either route."""
    if subject.learner == "linear":
        if route == "drawn pairs":
            yield from _drawn_linear(world, subject, n, replicates, seed, stream)
        elif subject.embed_dim is None:
            yield from projected_critics(world, subject.prompt, n, replicates, seed, stream)
        else:
            yield from truncated_critics(world, subject.prompt, n, replicates, seed, subject.embed_dim, stream)
    elif subject.learner == "least-squares" and route == "exact law":
        for second, label in labelled_moments(world, n, replicates, seed, stream):
            inside = np.linalg.solve(second, label[..., None])[..., 0][:, None]
            yield LinearCritic(inside, np.zeros((len(inside), 1, 1)))
    else:
        yield from _drawn_supervised(world, subject.learner, n, replicates, seed, stream)


def critic_reliance(inside: NDArray[np.float64], world: World) -> NDArray[np.float64]:
    """t = u_spu/u_inv of trained critics (R, P, l); for K classes the means over each class's own coordinates."""
    if world.classes == 2:
        return inside[:, 0, 1] / inside[:, 0, 0]
    K = world.classes
    centred = inside - inside.mean(axis=1, keepdims=True)  # a shift common to all classes decides nothing
    own = np.einsum("rkk->rk", centred[:, :, :K]).mean(1), np.einsum("rkk->rk", centred[:, :, K : 2 * K]).mean(1)
    return own[1] / own[0]


def _matrix_errors(claim, world, point, n, replicates, seed, stream, route) -> NDArray[np.float64]:
    if claim.quantity == "operator-error":
        reference, l = np.asarray(claim.reference(point)), world.latents
        if route == "exact law":
            V = np.concatenate(list(projected_scatter(world, n, replicates, seed, stream)))
            return operator_error(V[:, :l, l:], reference)
        S = [_drawn_covariance(world, n, seed, f"{stream}/{r}") for r in range(replicates)]
        return operator_error(np.stack(S), reference)
    l = world.latents
    population = np.zeros((world.dim_image, world.dim_text))
    population[:l, :l] = block_covariance(blocks_of(point))
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


def _drawn_linear(world, subject: Subject, n, replicates, seed, stream):
    q = decision_prompts(world, subject.prompt)
    for r in range(replicates):
        yield covariance_critic(_drawn_covariance(world, n, seed, f"{stream}/{r}"), q, subject.embed_dim)


def _drawn_supervised(world, learner: str, n, replicates, seed, stream):
    from simulator.gaussian.pairs import draw_pairs
    from simulator.gaussian.supervised import fit

    frames, l = (np.eye(world.dim_image, world.latents), np.eye(world.dim_text, world.latents)), world.latents
    for r in range(replicates):
        blocks = list(draw_pairs(world, frames, n, seed, stream=f"{stream}/{r}"))
        images = np.concatenate([b.images.numpy() for b in blocks])
        labels = np.concatenate([b.labels.numpy() for b in blocks])
        yield LinearCritic.of_vectors(fit(learner, images, labels, world.classes), l)


def _from_images(quantity, subject: Subject, world, point, n, replicates, seed, stream) -> NDArray[np.float64]:
    """Accuracy of a population rule on n drawn test images a replicate, half common, half counter."""
    from simulator.gaussian.pairs import draw_pairs
    from theory.learners.rules import correct, rule_scores

    blocks, l = blocks_of(point), world.latents
    frames = np.eye(world.dim_image, l), np.eye(world.dim_text, l)
    accuracy = np.empty((2, replicates))
    for g, p in enumerate((1.0, 0.0)):  # all common, all counter
        test = world.model_copy(update={"p_spu": p})
        for r in range(replicates):
            right = 0.0
            for block in draw_pairs(test, frames, n // 2, seed, stream=f"{stream}/{g}/{r}"):
                scores = rule_scores(subject.learner, subject.prompt, blocks, block.images.numpy()[:, :l])
                right += correct(scores, block.labels.numpy())
            accuracy[g, r] = right / (n // 2)
    return group_quantity(quantity, *accuracy)
