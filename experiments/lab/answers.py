"""The documents of `soberclip predict` and `simulate`; accuracies are fractions."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from experiments.errors import RequestError, RunError, check_within, checked_seed
from experiments.inference import interval95
from experiments.lab.mitigations import NONE, known_law, mitigated
from experiments.lab.setting import Law, Setting
from simulator.accuracy import GROUPS, PLACE, Accuracy, in_words
from simulator.progress import track
from simulator.quantities import PairCount, domain_of
from simulator.streams import numpy_stream
from simulator.world import World
from theory.accuracy import reliance
from theory.coverage import unseen
from theory.ideal_curve import MOST_CLASSES, Equivalent, equivalent, equivalent_of_draws
from theory.learners import InfoNCE, trainable
from theory.learners.base import UNDEFINED, Learner

NUMBERS = ("balanced", "drop")  # that follow from the groups
MANY_PAIRS = 1e6  # a training set of this size leaves `uncovered_share` unseen
MOST_REPLICATES = 10**7
LARGEST_DRAW = 20_000_000_000  # random numbers of the direct method, about five minutes on one core


def predict(world: World, learner: Learner, mitigate: str = NONE) -> dict[str, Any]:
    """Group accuracies at n = infinity, the reliance of a linear rule, and intervals of sampled accuracies."""
    given = Setting(world, learner)
    law = known_law(mitigate, given)
    accuracy = population(law)
    ends = accuracy.interval and {group: list(map(float, pair)) for group, pair in accuracy.interval.ends.items()}
    known = {group: pair for group, pair in (ends or {}).items() if not np.isnan(pair[0])}
    numbers, intervals = placed(law.world, lambda: equivalent(law.world, accuracy))
    return {
        **_who(learner, mitigate, mitigated(mitigate, given)),
        **in_groups(accuracy),
        **numbers,
        "reliance": _reliance(law),
        "uncovered_share": _uncovered(law),
        "interval95": {**known, **intervals} or None,
    }


def no_ideal_curve(world: World) -> str | None:
    """Why no ideal classifier is known in worlds of this kind; None where it is, unless there is no noise."""
    if world.views is not None:
        return "no formula gives the ideal classifier of pixels"
    if max(world.classes, world.background_count) > MOST_CLASSES:
        return "ideal classifiers are known for at most ten classes and backgrounds"
    return None


def placed(world: World, place: Callable[[], Equivalent]) -> tuple[dict[str, float | None], dict[str, list[float]]]:
    """Equivalent correlation and shortfall by their names in PLACE, and their intervals.

    None where the world has no ideal curve, or the accuracies do not determine the correlation. No intervals for exact
    numbers, and for the three groups of a table.
    """
    if no_ideal_curve(world):
        return dict.fromkeys(PLACE), {}
    try:
        found = place()
    except UNDEFINED:  # without noise, Bayes rules of three classes or a table are unknown
        return dict.fromkeys(PLACE), {}
    numbers = {name: float(x) if np.isfinite(x) else None for name, x in zip(PLACE, found, strict=True)}
    if found.interval is None:
        return numbers, {}
    ends = zip(PLACE, found.interval, strict=True)
    return numbers, {name: list(map(float, pair)) for name, pair in ends if numbers[name] is not None}


def _uncovered(law: Law) -> dict[str, float] | None:
    """Shares of test images that MANY_PAIRS pairs do not teach a contrastive learner; None without a closed form."""
    if not isinstance(law.learner, InfoNCE):
        return None
    shares = unseen(law.world, law.learner.prompt, MANY_PAIRS)
    return shares and {"common": shares.common, "counter": shares.counter}


def population(law: Law) -> Accuracy:
    """Group accuracies of a law. Raises RequestError if the theory has no answer."""
    try:
        accuracy = law.learner.accuracy(law.world)
    except UNDEFINED as error:
        raise RequestError(f"{law.learner.name}: {error}") from None
    if law.world.table is None and not all(0 <= group <= 1 for group in accuracy):  # of a user's learner
        raise RequestError(f"{law.learner.name}: accuracies {list(map(float, accuracy))} are no fractions in [0, 1]")
    return accuracy


def predicted(find_law: Callable[[], Law | None]) -> dict[str, float] | None:
    """Group accuracies of a law; None if none is known, or it has no answer: ties, separable laws, an empty group."""
    try:
        law = find_law()
        return None if law is None else in_groups(population(law))
    except (RequestError, ValueError):
        return None


def _reliance(law: Law) -> float | None:
    try:
        t = float(reliance(law.learner.direction(law.world)))
    except UNDEFINED:
        return None  # not a linear rule
    return t if np.isfinite(t) else None


def _who(learner: Learner, mitigate: str, setting: Setting) -> dict[str, Any]:
    """The learner and the mitigation as requested; world, prompt, width and time of training after the mitigation."""
    time = getattr(setting.learner, "time", np.inf)
    return {
        "world": setting.world.model_dump(),
        "learner": learner.name,
        "prompt": getattr(setting.learner, "prompt", None),
        "embed_dim": getattr(setting.learner, "embed_dim", None),
        **({"time": time, "start": setting.learner.start} if time < np.inf else {}),
        **({} if mitigate == NONE else {"mitigation": mitigate}),
    }


def simulate(
    world: World, learner: Learner, n: int, replicates: int, method: str | None, seed: int, mitigate: str = NONE
) -> dict[str, Any]:
    """Train a linear learner on n pairs, `replicates` times, and average its group accuracies.

    method: "exact" (the exact law of the trained rule), "direct" (pairs drawn one by one), or None for exact if the law
    is known. interval95 is the t interval of the mean over replicates, None for one replicate.
    """
    check_within("--n", n, *domain_of(PairCount))
    check_within("--replicates", replicates, 1, MOST_REPLICATES)
    checked_seed(seed)
    setting = mitigated(mitigate, Setting(world, learner))
    if not setting.fitted:
        raise RequestError(f"mitigation {mitigate!r} cannot be simulated; use train or predict")
    if setting.learner.estimator is None:
        known = ", ".join(trainable())
        raise RequestError(
            f"--learner = {setting.learner.name} is not fitted to pairs; choose from {known} (a learner of your own "
            "says in `estimator` how it is fitted)"
        )
    why = unable(setting, exact=True)
    if method == "exact" and why:
        raise RequestError(f"{why}; the nearest choice is direct")
    method, numbers = method or ("direct" if why else "exact"), n * replicates * (world.dim_image + world.dim_text)
    if method == "direct" and numbers > LARGEST_DRAW:
        exact = "" if why else "--method exact, which costs the same for any n, or "
        raise RequestError(
            f"--n = {n} with {replicates} replicates would draw {numbers:.1e} numbers, more than {LARGEST_DRAW:.0e}; "
            f"use {exact}fewer pairs or replicates"
        )
    accuracy = np.concatenate(
        list(track(_accuracies(setting, n, replicates, method == "exact", seed), replicates, "replicates"))
    )
    numbers, intervals = placed(world, lambda: equivalent_of_draws(world, accuracy))
    return {
        **_who(learner, mitigate, setting),
        "n": n,
        "method": method,
        "seed": seed,
        **in_groups(Accuracy.of(accuracy.mean(axis=0))),
        **numbers,
        "replicates": [{group: _known(x) for group, x in zip(GROUPS, row, strict=False)} for row in accuracy],
        "interval95": {**{g: _interval(x) for g, x in zip(GROUPS, accuracy.T, strict=False)}, **intervals},
        "predicted": predicted(setting.law),
    }


def unable(setting: Setting, exact: bool) -> str | None:
    """Why a learner cannot be measured at finitely many pairs, exactly or on drawn pairs; None if it can."""
    learner = setting.learner
    if not setting.fitted:
        return "this mitigation cannot be fitted to drawn pairs"
    if not exact:
        return None if learner.estimator else f"{learner.name} is not fitted to pairs"
    if setting.sampler != "drawn":
        return f"the exact law of {setting.sampler} pairs is not known"
    if not learner.has_exact_law(setting.world):
        where = "in worlds of this shape" if learner.has_exact_law() else "at all"
        return f"the exact law of {learner.name} given n pairs is not known {where}"
    return None


def trainings(
    setting: Setting, n: int, count: int, exact: bool, seed: int
) -> Iterator[tuple[Float[np.ndarray, "r 2"], Float[np.ndarray, " r"]]]:
    """(group accuracies, reliance) of `count` trainings on n pairs, in blocks; replicate r is the same for any count.

    By the exact law of the trained rule, or on drawn pairs. Raises SeparabilityError if drawn pairs have no solution,
    ValueError for other requests without one.
    """
    from experiments.finite_samples import learned_critics  # start-up time
    from simulator.gaussian.critic import group_accuracy
    from simulator.gaussian.critic import reliance as relied

    world, mixture = setting.world, setting.world.mixture()
    route = "exact law" if exact else "drawn pairs"
    critics = learned_critics(world, setting.learner, n, count, seed, "simulate", route, setting.sampler)
    for i, critic in enumerate(critics):
        points = numpy_stream(seed, "simulate/test points", i)
        yield group_accuracy(critic, mixture, world.nu_image, points), relied(critic, world)


def _accuracies(setting: Setting, n, count, exact, seed):
    from simulator.gaussian.fitting import SeparabilityError  # start-up time

    try:
        for accuracy, _ in trainings(setting, n, count, exact, seed):
            yield accuracy
    except SeparabilityError as error:
        raise RunError(str(error)) from None
    except ValueError as error:
        raise RequestError(str(error)) from None


def in_groups(accuracy: Accuracy) -> dict[str, float | None]:
    """The groups and NUMBERS; None where a table has no such group."""
    groups = zip(GROUPS, accuracy, strict=False)
    return {name: _known(x) for name, x in (*groups, *((name, in_words(name, accuracy)) for name in NUMBERS))}


def _interval(values: Float[np.ndarray, " R"]) -> list[float] | None:
    return None if np.isnan(values).any() else interval95(values)


def _known(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
