"""What `predict` and `simulate` do: documents as the command line prints them, accuracies as fractions."""

from typing import Any

import numpy as np

from experiments.errors import RequestError, RunError, checked_seed
from experiments.inference import interval95
from experiments.progress import track
from simulator.world import World
from theory.accuracy import reliance
from theory.claims.claim import Subject, group_quantity

GROUPS = ("common", "counter", "balanced", "drop")
# Numbers that the direct route may draw: about five minutes on one core.
LARGEST_DRAW = 20_000_000_000


def predict(world: World, subject: Subject) -> dict[str, Any]:
    """Group accuracies at n = infinity, with the reliance of linear rules and the interval of estimates."""
    accuracy, u = population(world, subject)
    common, counter = float(accuracy.common), float(accuracy.counter)
    interval = getattr(accuracy, "interval", None)
    t = None if u is None else float(reliance(u))
    return {
        "world": world.model_dump(),
        "learner": subject.learner,
        "prompt": subject.prompt,
        "embed_dim": subject.embed_dim,
        **_groups(common, counter),
        "reliance": t if t is not None and np.isfinite(t) else None,
        "interval95": None
        if interval is None
        else {g: list(map(float, interval[i])) for i, g in enumerate(GROUPS[:2])},
    }


def population(world: World, subject: Subject):
    """(accuracies, weights on blocks or None) of a learner at n = infinity.

    Raises RequestError where the theory says that there is no answer (a tie, a separable law, no view noise).
    """
    from theory.claims.claim import learner_direction, population_accuracy

    blocks = world.blocks()
    try:
        u = None if subject.learner in ("infonce", "bayes") else learner_direction(subject, blocks)
        return population_accuracy(subject, blocks), u
    except (ValueError, ArithmeticError) as error:
        raise RequestError(f"{subject.learner}: {error}") from None


def simulate(world: World, subject: Subject, n: int, replicates: int, method: str, seed: int) -> dict[str, Any]:
    """Train a linear learner on n pairs, `replicates` times, and average its group accuracies.

    interval95 is the t interval of the mean over replicates, null for one. Raises RequestError for n outside
    [2, 1e12] or a direct run above LARGEST_DRAW numbers, RunError where a drawn sample has no solution.
    """
    if not 2 <= n <= 10**12:
        raise RequestError(f"--n = {n} lies outside [2, 1e12]; the nearest valid value is {min(max(n, 2), 10**12)}")
    if replicates < 1:
        raise RequestError(f"--replicates = {replicates} is below 1; the nearest valid value is 1")
    checked_seed(seed)
    if method == "direct":
        _refuse_costly(world, n, replicates)
    accuracy = np.concatenate(
        list(track(_accuracies(world, subject, n, replicates, method, seed), replicates, "replicates"))
    )
    common, counter = accuracy.mean(axis=0)
    return {
        "world": world.model_dump(),
        "learner": subject.learner,
        "prompt": subject.prompt,
        "embed_dim": subject.embed_dim,
        "n": n,
        "method": method,
        "seed": seed,
        **_groups(float(common), float(counter)),
        "replicates": [{"common": float(a), "counter": float(b)} for a, b in accuracy],
        "interval95": {g: interval95(accuracy[:, i]) for i, g in enumerate(GROUPS[:2])},
        "predicted": _predicted(world, subject),
    }


def _accuracies(world, subject, n, replicates, method, seed):
    from experiments.court.routes import learned_critics
    from simulator.gaussian.critic import group_accuracy
    from simulator.gaussian.supervised import SeparabilityError

    try:
        mixture = world.mixture()
        route = "exact law" if method == "exact" else "drawn pairs"
        for i, critic in enumerate(learned_critics(world, subject, n, replicates, seed, "simulate", route)):
            yield group_accuracy(critic, mixture, world.nu_image, seed + i)
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


def _predicted(world: World, subject: Subject) -> dict[str, float] | None:
    """The population's accuracies beside the measured ones; null where the theory has none."""
    if subject.learner == "max-margin":
        return None
    try:
        accuracy, _ = population(world, subject)
    except RequestError:
        return None  # the sample has an answer where the population has none: ties, separable laws
    return _groups(float(accuracy.common), float(accuracy.counter))


def _groups(common: float, counter: float) -> dict[str, float]:
    return {name: float(group_quantity(name, common, counter)) for name in GROUPS}
