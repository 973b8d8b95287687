"""`soberclip predict` and `simulate`: their documents, with accuracies as fractions."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError, RunError, checked_seed
from experiments.estimators import estimator_of, has_exact_law, trainable
from experiments.inference import interval95
from experiments.lab.mitigations import NONE, known_law, mitigated
from experiments.lab.setting import Setting
from experiments.progress import track
from simulator.accuracy import Accuracy, in_words
from simulator.world import World
from theory.accuracy import reliance
from theory.learners.base import UNDEFINED, Learner

GROUPS = ("common", "counter", "balanced", "drop")
LARGEST_DRAW = 20_000_000_000  # numbers of the direct method, about five minutes on one core


def predict(world: World, learner: Learner, mitigate: str = NONE) -> dict[str, Any]:
    """Group accuracies at n = infinity, the reliance of a linear rule, and the interval of an estimate.

    Raises RequestError if the theory has no answer (a tie, a separable law, no view noise), or no law is known after
    the mitigation.
    """
    given = Setting(world, learner)
    law = known_law(mitigate, given)
    accuracy = population(law.world, law.learner)
    interval = accuracy.interval
    return {
        **_who(learner, mitigate, mitigated(mitigate, given)),
        **in_groups(accuracy),
        "reliance": _reliance(law.world, law.learner),
        "interval95": None
        if interval is None
        else {g: list(map(float, interval[i])) for i, g in enumerate(GROUPS[:2])},
    }


def population(world: World, learner: Learner) -> Accuracy:
    """Group accuracies of a learner at n = infinity. Raises RequestError if the theory has no answer."""
    try:
        return learner.accuracy(world)
    except UNDEFINED as error:
        raise RequestError(f"{learner.name}: {error}") from None


def _reliance(world: World, learner: Learner) -> float | None:
    try:
        t = float(reliance(learner.direction(world)))
    except UNDEFINED:
        return None  # not a linear rule
    return t if np.isfinite(t) else None


def _who(learner: Learner, mitigate: str, setting: Setting) -> dict[str, Any]:
    """The learner and the mitigation as requested; the world, the prompt and the width after the mitigation."""
    return {
        "world": setting.world.model_dump(),
        "learner": learner.name,
        "prompt": getattr(setting.learner, "prompt", None),
        "embed_dim": getattr(setting.learner, "embed_dim", None),
        **({} if mitigate == NONE else {"mitigation": mitigate}),
    }


def simulate(
    world: World, learner: Learner, n: int, replicates: int, method: str | None, seed: int, mitigate: str = NONE
) -> dict[str, Any]:
    """Train a linear learner on n pairs, `replicates` times, and average its group accuracies.

    method: "exact" (the exact law of the trained rule), "direct" (pairs drawn one by one), or None for exact if the law
    is known. interval95 is the t interval of the mean over replicates, None for one replicate.

    Raises RequestError for n outside [2, 1e12] or a direct run above LARGEST_DRAW numbers, RunError if a drawn sample
    has no solution.
    """
    if not 2 <= n <= 10**12:
        raise RequestError(f"--n = {n} lies outside [2, 1e12]; the nearest valid value is {min(max(n, 2), 10**12)}")
    if replicates < 1:
        raise RequestError(f"--replicates = {replicates} is below 1; the nearest valid value is 1")
    checked_seed(seed)
    setting = mitigated(mitigate, Setting(world, learner))
    if not setting.fitted:
        raise RequestError(f"mitigation {mitigate!r} is not fitted to drawn pairs; train and predict take it")
    method = _checked_method(setting.world, setting.learner, method, setting.sampler)
    if method == "direct":
        _refuse_costly(world, n, replicates)
    accuracy = np.concatenate(list(track(_accuracies(setting, n, replicates, method, seed), replicates, "replicates")))
    common, counter = accuracy.mean(axis=0)
    return {
        **_who(learner, mitigate, setting),
        "n": n,
        "method": method,
        "seed": seed,
        **in_groups(Accuracy(common, counter)),
        "replicates": [{"common": float(a), "counter": float(b)} for a, b in accuracy],
        "interval95": {g: interval95(accuracy[:, i]) for i, g in enumerate(GROUPS[:2])},
        "predicted": _predicted(setting),
    }


def _checked_method(world: World, learner: Learner, method: str | None, sampler: str = "drawn") -> str:
    if estimator_of(learner).fit is None:
        raise RequestError(
            f"--learner = {learner.name} is not fitted to pairs; those that are: {', '.join(trainable())}"
        )
    if method not in (None, "exact", "direct"):
        raise RequestError(f"--method = {method!r} is neither exact nor direct")
    lawful = has_exact_law(learner, world) and sampler == "drawn"
    if method == "exact" and sampler != "drawn":
        raise RequestError(f"--method exact is not known for {sampler} pairs; the nearest choice is direct")
    if method == "exact" and not lawful:
        where = "in worlds of this shape" if estimator_of(learner).exact else "at all"
        raise RequestError(
            f"--method exact is not known for learner {learner.name!r} {where}; the nearest choice is direct"
        )
    return method or ("exact" if lawful else "direct")


def trainings(
    world: World, learner: Learner, n: int, count: int, method: str, seed: int, sampler: str = "drawn"
) -> Iterator[tuple[Float[np.ndarray, "r 2"], Float[np.ndarray, " r"]]]:
    """(group accuracies, reliance) of `count` trainings on n pairs, in blocks; replicate r is the same for any count.

    method: "exact" or "direct", see `simulate`; sampler: how drawn pairs are sampled again. Raises SeparabilityError
    if drawn pairs have no solution, ValueError for other requests without one.
    """
    from experiments.finite_samples import learned_critics  # start-up time
    from simulator.gaussian.critic import group_accuracy
    from simulator.gaussian.critic import reliance as relied

    mixture = world.mixture()
    route = "exact law" if method == "exact" else "drawn pairs"
    for i, critic in enumerate(learned_critics(world, learner, n, count, seed, "simulate", route, sampler)):
        yield group_accuracy(critic, mixture, world.nu_image, seed + i), relied(critic, world.classes)


def _accuracies(setting: Setting, n, count, method, seed):
    from simulator.gaussian.supervised import SeparabilityError  # start-up time

    try:
        for accuracy, _ in trainings(setting.world, setting.learner, n, count, method, seed, setting.sampler):
            yield accuracy
    except SeparabilityError as error:
        raise RunError(str(error)) from None
    except ValueError as error:
        raise RequestError(str(error)) from None


def _refuse_costly(world: World, n: int, replicates: int) -> None:
    each = world.dim_image + world.dim_text
    if n * replicates * each > LARGEST_DRAW:
        largest = LARGEST_DRAW // (replicates * each)
        raise RequestError(
            f"--n = {n} with {replicates} replicates would draw {n * replicates * each:.1e} numbers, more than "
            f"{LARGEST_DRAW:.0e}; use --method exact, which costs the same for any n, or --n {largest}"
        )


def _predicted(setting: Setting) -> dict[str, float] | None:
    """Accuracies of the population optimum; None where the theory has no answer."""
    try:
        law = setting.law()
        return None if law is None else in_groups(population(law.world, law.learner))
    except (RequestError, ValueError):
        return None  # ties and separable laws, where a sample still has an answer


def in_groups(accuracy: Accuracy) -> dict[str, float]:
    """A pair of accuracies by the names in GROUPS."""
    return {name: float(in_words(name, accuracy)) for name in GROUPS}
