"""The documents of `soberclip predict` and `simulate`; accuracies are fractions."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError, RunError, check_within
from experiments.inference import interval95
from experiments.lab.mitigations import (
    MITIGATIONS,
    NONE,
    apply_to_learner,
    law_of_learner,
    mitigated,
)
from simulator.accuracy import GROUPS, PLACE, Accuracy, finite
from simulator.progress import counting
from simulator.quantities import PairCount, domain_of
from simulator.streams import numpy_stream
from simulator.world import World
from theory.accuracy import reliance
from theory.ideal_curve import MOST_CLASSES, Equivalent, equivalent, equivalent_of_draws
from theory.learners import named, trainable
from theory.learners.base import UNDEFINED, Learner
from theory.unit_prompts import least_scale

WITHIN = 0.002  # of the accuracies without limits: a scale meets the budget
NUMBERS = ("balanced", "drop")  # that follow from the groups
MANY_PAIRS = 1e6  # so many do not teach a contrastive learner `uncovered_share` of the test images
MOST_REPLICATES = 10**7
LARGEST_DRAW = 20_000_000_000  # random numbers of the direct method, about five minutes on one core


def predict(world: World, learner: Learner, mitigate: str = NONE) -> dict[str, Any]:
    """Group accuracies at n = infinity, the reliance of a linear rule, and intervals of sampled
    accuracies.
    """
    pairs, fitted = own, rule = world, learner
    if mitigate != NONE:
        own, rule = mitigated(mitigate, world, learner)
        pairs, fitted = apply_to_learner(mitigate, world, learner)
    accuracy = population(own, rule)
    ends = {} if accuracy.interval is None else accuracy.interval.ends
    spans = {group: list(map(float, pair)) for group, pair in ends.items() if not np.isnan(pair[0])}
    numbers, intervals = placed(equivalent, own, accuracy)
    linear = own.table is None and rule.is_linear
    shares = rule.unseen(own, MANY_PAIRS)
    return {
        **_who(pairs, fitted, learner.name, mitigate),
        **in_groups(accuracy),
        **numbers,
        "reliance": finite(reliance(rule.direction(own))) if linear else None,
        "uncovered_share": shares and {"common": shares.common, "counter": shares.counter},
        "interval95": {**spans, **intervals} or None,
        **_beside_unlimited(own, rule, accuracy),
    }


def _beside_unlimited(world: World, learner: Any, accuracy: Accuracy) -> dict[str, Any]:
    """With a finite scale: accuracies without limits, whether it meets their budget, or else a
    scale that does.
    """
    if getattr(learner, "scale", None) is None:
        return {}
    law = population(world, named("infonce", prompt=learner.prompt))
    assert accuracy.interval is not None
    far = [
        max(low - x, x - high) > WITHIN
        for x, (low, high) in zip(law, accuracy.interval, strict=True)
    ]
    beside = {"unlimited": in_groups(law), "meets_budget": not any(far)}
    if beside["meets_budget"] or learner.embed_dim is not None:
        return beside
    enough = least_scale(
        world, learner.prompt, learner.scale, learner.objective, np.array([*law]), WITHIN
    )
    return {**beside, "enough_scale": enough}


def no_ideal_curve(world: World) -> str | None:
    """Why no ideal classifier is known in worlds of this kind; None where it is, unless there is no
    noise.
    """
    if world.views is not None:
        return "no formula gives the ideal classifier of pixels"
    if max(world.classes, world.background_count) > MOST_CLASSES:
        return "ideal classifiers are known for at most ten classes and backgrounds"
    return None


def placed(
    place: Callable[..., Equivalent], world: World, *accuracies: Any
) -> tuple[dict[str, float | None], dict[str, list[float]]]:
    """Equivalent correlation and shortfall, place(world, *accuracies), by their names in PLACE, and
    their intervals.

    None where the world has no ideal curve, or the accuracies do not determine the correlation. No
    intervals for exact numbers, and for the three groups of a table.
    """
    try:
        position = place(world, *accuracies)
    except UNDEFINED:
        # pixels, many classes; without noise, Bayes rules of three classes or a table are unknown
        return dict.fromkeys(PLACE), {}
    numbers = {name: finite(x) for name, x in zip(PLACE, position, strict=True)}
    if position.interval is None:
        return numbers, {}
    ends = zip(PLACE, position.interval, strict=True)
    return numbers, {
        name: list(map(float, pair)) for name, pair in ends if numbers[name] is not None
    }


def population(world: World, learner: Learner) -> Accuracy:
    """Group accuracies at n = infinity. Raises RequestError if the theory has no answer."""
    try:
        accuracy = learner.accuracy(world)
    except UNDEFINED as error:
        raise RequestError(f"{learner.name}: {error}") from None
    if not isinstance(accuracy, Accuracy):  # of a user's learner, as in the next line
        words = f"is of type {type(accuracy).__name__}; expected `simulator.accuracy.Accuracy`"
        raise RequestError(f"{learner.name}: the accuracy {words}")
    if world.table is None and not all(0 <= group <= 1 for group in accuracy):
        raise RequestError(
            f"{learner.name}: accuracies {list(map(float, accuracy))} are no fractions in [0, 1]"
        )
    return accuracy


def predicted(law: tuple[World, Learner] | None) -> dict[str, float | None] | None:
    """Group accuracies of a learner in its world; None if no law is known, or it has no answer, as
    for ties.
    """
    try:
        return None if law is None else in_groups(population(*law))
    except RequestError:
        return None


def _who(world: World, learner: Learner, name: str, mitigate: str) -> dict[str, Any]:
    """The name of the learner as requested; world, prompt, width and time of training after the
    mitigation.
    """
    time = getattr(learner, "time", np.inf)
    limits = {name: getattr(learner, name, None) for name in ("scale", "bias", "batch_size")}
    return {
        "world": world,
        "learner": name,
        "prompt": getattr(learner, "prompt", None),
        "embed_dim": getattr(learner, "embed_dim", None),
        **{name: value for name, value in limits.items() if value is not None},
        **({"time": time, "start": learner.start} if time < np.inf else {}),
        **({} if mitigate == NONE else {"mitigation": mitigate}),
    }


def simulate(
    world: World,
    learner: Learner,
    n: int,
    replicates: int,
    method: str | None,
    seed: int,
    mitigate: str = NONE,
) -> dict[str, Any]:
    """Train a linear learner on n pairs, `replicates` times, and average its group accuracies.

    method: "exact" (the exact law of the trained rule), "direct" (pairs drawn one by one), or None
    for exact if the law is known. interval95 is the t interval of the mean over replicates, None
    for one replicate.
    """
    check_within("--n", n, *domain_of(PairCount))
    check_within("--replicates", replicates, 1, MOST_REPLICATES)
    pairs, fitted = apply_to_learner(mitigate, world, learner)
    if not MITIGATIONS[mitigate].fitted:
        raise RequestError(f"mitigation {mitigate!r} cannot be simulated; use train or predict")
    if not fitted.routes() & {"exact", "drawn"}:
        names = ", ".join(trainable())
        raise RequestError(
            f"--learner = {fitted.name} is not fitted to pairs; choose from {names} (a learner of"
            " your own says in `estimator` how it is fitted, or gives its `exact_law`)"
        )
    why = unable(pairs, fitted, exact=True, mitigate=mitigate)
    if method == "exact" and why:
        raise RequestError(f"{why}; the nearest choice is direct")
    method = method or ("direct" if why else "exact")
    numbers = n * replicates * (world.dim_image + world.dim_text)
    if method == "direct" and "drawn" not in fitted.routes():
        raise RequestError(
            f"{why or 'drawn pairs do not fit ' + fitted.name}; --method exact is its only one"
        )
    if method == "direct" and numbers > LARGEST_DRAW:
        exact = "" if why else "--method exact, which costs the same for any n, or "
        raise RequestError(
            f"--n = {n} with {replicates} replicates would draw {numbers:.1e} numbers, more than"
            f" {LARGEST_DRAW:.0e}; use {exact}fewer pairs or replicates"
        )
    accuracy = _accuracies(
        pairs, fitted, n, replicates, method == "exact", seed, MITIGATIONS[mitigate].sampler
    )
    numbers, intervals = placed(equivalent_of_draws, world, accuracy)
    each = zip(GROUPS, accuracy.T, strict=False)
    return {
        **_who(pairs, fitted, learner.name, mitigate),
        "n": n,
        "method": method,
        "seed": seed,
        **in_groups(Accuracy.of(accuracy.mean(axis=0))),
        **numbers,
        "replicates": [
            {group: finite(x) for group, x in zip(GROUPS, row, strict=False)} for row in accuracy
        ],
        "interval95": {
            **{group: None if np.isnan(x).any() else interval95(x) for group, x in each},
            **intervals,
        },
        "predicted": predicted(law_of_learner(mitigate, pairs, fitted)),
    }


def unable(world: World, learner: Learner, exact: bool, mitigate: str = NONE) -> str | None:
    """Why a learner, after its mitigation, cannot be measured at finitely many pairs; None if it
    can.
    """
    own = MITIGATIONS[mitigate]
    if not own.fitted:
        return "this mitigation cannot be fitted to drawn pairs"
    if not exact:
        return (
            None if "drawn" in learner.routes() else f"{learner.name} is not fitted to drawn pairs"
        )
    if own.sampler != "drawn":
        return f"the exact law of {own.sampler} pairs is not known"
    if "exact" not in learner.routes(world):
        where = "in worlds of this shape" if "exact" in learner.routes() else "at all"
        return f"the exact law of {learner.name} given n pairs is not known {where}"
    return None


def trainings(
    world: World,
    learner: Learner,
    n: int,
    count: int,
    exact: bool,
    seed: int,
    sampler: str = "drawn",
) -> Iterator[tuple[Float[np.ndarray, "r 2"], Float[np.ndarray, " r"]]]:
    """(group accuracies, reliance) of `count` trainings on n pairs, in blocks; replicate r is the
    same for any count.

    By the exact law of the trained rule, or on drawn and then sampled pairs. Raises
    SeparabilityError if drawn pairs have no solution, ValueError for other requests without one.
    """
    from experiments.finite_samples import fitted_critics  # start-up time
    from simulator.gaussian.critic import group_accuracy
    from simulator.gaussian.critic import reliance as relied

    mixture = world.mixture()
    how = (n, count, seed, "simulate")
    critics = (
        learner.exact_law(world, *how) if exact else fitted_critics(world, learner, *how, sampler)
    )
    for i, critic in enumerate(critics):
        points = numpy_stream(seed, "simulate/test points", i)
        yield group_accuracy(critic, mixture, world.nu_image, points), relied(critic, world)


def _accuracies(world, learner, n, count, exact, seed, sampler):
    from simulator.gaussian.fitting import SeparabilityError  # start-up time

    accuracies = []
    try:
        with counting("replicates", count) as advance:
            for accuracy, _ in trainings(world, learner, n, count, exact, seed, sampler):
                accuracies.append(accuracy)
                advance(len(accuracy))
        return np.concatenate(accuracies)
    except SeparabilityError as error:
        raise RunError(str(error)) from None
    except ValueError as error:
        raise RequestError(str(error)) from None


def in_groups(accuracy: Accuracy) -> dict[str, float | None]:
    """The groups and NUMBERS; None where a table has no such group."""
    numbers = dict(zip(NUMBERS, (accuracy.balanced, accuracy.drop), strict=True))
    return {
        name: finite(x)
        for name, x in {**dict(zip(GROUPS, accuracy, strict=False)), **numbers}.items()
    }
