"""The decision rule, as pure statistics.

contradicted  at the worst point the lower 1 - alpha/2 bound of the violation v exceeds tau; for a
true claim this has
              probability alpha/2 at most, whichever point the search found
supported     the search found v < tau everywhere, and at each of m audit points the upper 1 -
              alpha/(2m) bound is below tau; the rest of the domain has no error rate
undecided     neither; the ruling has the reason
proved        supported, and a proof of the closed form covers the whole domain
              (`experiments.court.certificates`)
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from experiments.inference import Bounds, Numbers

Decision = Literal["proved", "supported", "contradicted", "undecided"]
Ruling = tuple[Decision, str]  # the decision, and the reason in one sentence


def violation_bounds(
    side: int, bounds: Callable[[Numbers], Bounds], target: float, tail: Numbers
) -> Bounds:
    """Bounds of the violation v, each side at `tail`, from bounds(tail) of the quantity q.

        v = q - target      on side 1
        v = target - q      on side -1
        v = |q - target|    on side 0

    The lower bound of |q - target| is the distance from target to a two-sided interval. The upper
    bound needs one side.
    """
    low, high = bounds(tail)
    if side == 0:
        inner = bounds(tail / 2)
        distance = np.maximum(0.0, np.maximum(inner.low - target, target - inner.high))
        return Bounds(distance, np.maximum(high - target, target - low))
    return Bounds(low - target, high - target) if side > 0 else Bounds(target - high, target - low)


def p_value(
    low: Callable[[np.ndarray], np.ndarray | float], tau: float, steps: int = 40, parts: int = 2
) -> float:
    """The smallest tail at which low(tails) exceeds tau, by bisection; 1 if no tail below 1/2 does.

    Every step divides the interval of log tails by `parts`. At twice this error rate the claim is
    just contradicted.
    """
    if np.all(low(np.array([0.5])) <= tau):
        return 1.0
    certain = np.log(0.5)
    unknown = np.log(1e-100)
    k = np.arange(parts + 1)
    for _ in range(steps):
        ends = ((parts - k) * certain + k * unknown) / parts
        first = int(np.argmin(np.append(low(np.exp(ends[1:-1])) > tau, False)))
        certain = ends[first]
        unknown = ends[first + 1]
    return float(np.exp(certain))


def decide(
    worst: Bounds | None,
    audits: Sequence[Bounds],
    searched: float,
    tau: float,
    obstacles: Sequence[str] = (),
    called: tuple[str, str] = ("point", "audit points"),
) -> Ruling:
    """The verdict from bounds on the violation v."""
    if worst is not None and worst.low > tau:
        return (
            "contradicted",
            f"the violation is at least {worst.low:.4g} at the worst {called[0]}, above {tau:g}",
        )
    above = [bound.high for bound in audits if bound.high >= tau]
    violations = []
    if searched >= tau:
        words = (
            ""
            if worst is None
            else f" (measurements there show at least {max(worst.low, 0.0):.4g})"
        )
        violations.append(
            f"the search found a violation of {searched:.4g}{words}; {tau:g} is allowed"
        )
    elif above:
        violations.append(
            f"{len(above)} of {len(audits)} {called[1]} do not exclude a violation of"
            f" {max(above):.4g}"
        )
    elif not audits and not obstacles:
        violations.append("no point could be audited")
    if violations or obstacles:
        return "undecided", "; ".join([*violations, *obstacles])
    agree = f"{len(audits)} {called[1]} agree; other points are not covered"
    return "supported", f"no violation of {tau:g} was found and {agree}"
