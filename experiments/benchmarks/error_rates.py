"""How often the judge errs, and how often it finds a violation: claims planted in drawn worlds, on
every route.

`python -m experiments.benchmarks.error_rates FILE.csv [CLAIMS]` judges CLAIMS of each kind (by
default 25) twice: the violation at the worst point is the tolerance tau, which is allowed, or 2
tau. All budgets are SMALLER, so that the claims at tau, which use them up, take minutes in all.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from time import process_time
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from experiments.court import budget
from experiments.court.trial import judge
from experiments.files import write_table
from simulator.streams import numpy_stream
from theory.claims.claim import Axis, Claim
from theory.learners import Bayes, InfoNCE, LinearCLIP, Logistic

SMALLER = 0.02
# of tau, by which the violation exceeds it, so that the search measures the claim at its worst
# point
BEYOND = 1e-6
TAILS = (0.005, 0.05, 0.2)
CERTAIN = {"p_spu": 1 - 1e-5}  # drawn pairs would be too many: the exact law is used
HEADER = (
    "kind",
    "violation",
    "claims",
    *(f"p <= {tail:g}" for tail in TAILS),
    "contradicted",
    "values",
    "cpu",
)


class Kind(NamedTuple):
    """Claims of one route: quantity, learners, further fields of the domain, and the relations that
    take turns.
    """

    quantity: str
    subject: Any
    against: Any = None
    fields: Mapping[str, float] = MappingProxyType({})
    relations: tuple[str, ...] = ("<=", ">=", "=", "iff")


DRAWN = {  # fields of a world, each between these ends
    "p_spu": (0.6, 0.95),
    "mu_spu": (0.5, 2.0),
    "sigma_inv": (0.5, 1.2),
    "sigma_spu": (0.4, 1.2),
    "sigma_xi": (0.4, 1.0),
}
THREE = {"classes": 3, "dim_image": 6, "dim_text": 6}
KINDS = {
    "exact law": Kind("counter", LinearCLIP(), fields=CERTAIN),
    "exact law, 3 classes": Kind("counter", LinearCLIP("mean"), fields={**CERTAIN, **THREE}),
    "drawn pairs": Kind("common", Logistic()),
    "drawn pairs, unbounded": Kind("reliance", LinearCLIP("mean")),
    "drawn pairs of two worlds": Kind("counter", LinearCLIP(), relations=("increasing", "slope")),
    "drawn images": Kind("counter", InfoNCE("name")),
    "drawn images, two groups": Kind("drop", Bayes()),
    "drawn images and pairs": Kind("counter", Bayes(), LinearCLIP()),
    "even images": Kind("shortfall", InfoNCE("name")),
    "even images and pairs": Kind("equivalent-correlation", Bayes(), LinearCLIP()),
    "even images and exact law": Kind("shortfall", Bayes(), LinearCLIP(), CERTAIN),
}


def planted(kind: Kind, number: int, times: float) -> Claim:
    """A claim whose violation at its worst point is `times` the tolerance."""
    rng = numpy_stream(0, f"error rates/{kind.quantity}", number)
    fields: dict[str, Any] = {name: rng.uniform(*ends) for name, ends in DRAWN.items()}
    fields |= {"dim_image": 2, "dim_text": 2, **kind.fields}
    relation = kind.relations[number % len(kind.relations)]
    if relation == "increasing":
        fields["mu_spu"] = Axis(fields["mu_spu"], fields["mu_spu"] + 0.5)
    further = {"along": "mu_spu", "grid": (0.8, 1.6)} if relation in ("increasing", "slope") else {}
    words = {"id": f"planted-{number}", "source": "planted", "statement": ""}
    of = {
        "quantity": kind.quantity,
        "subject": kind.subject,
        "against": kind.against,
        "relation": relation,
    }
    claim = Claim(
        **words, **of, **further, domain=fields, prediction=lambda w: 1.0 * (relation == "iff")
    )
    excess = times * claim.tau * (1 + BEYOND)
    if relation == "iff":
        threshold = excess - _violation(claim)
        return replace(claim, threshold=threshold)
    if claim.relation.side == 0:
        far = replace(claim, prediction=lambda w: -1000.0)
        limit = _violation(far) - 1000 + excess * (-1) ** (number // len(kind.relations))
    else:
        limit = (excess - _violation(claim)) * (-1 if relation == "<=" else 1)
    return replace(claim, prediction=lambda w: limit)


def _violation(claim: Claim) -> float:
    """The violation by the closed form at the only point, or from one end of the axis to the
    other.
    """
    unit = np.array([[0.0, 1.0][: claim.dimension]])
    return float(claim.true_violation(claim.relation.points(claim, unit))[0])


def rows(claims: int) -> Iterator[tuple]:
    for name in [
        name for name in budget.__dict__ if isinstance(getattr(budget, name), budget.Effort)
    ]:
        effort = getattr(budget, name)
        setattr(budget, name, effort._replace(most=max(effort.fewest, effort.most * SMALLER)))
    budget.NUMBERS *= SMALLER
    for name, kind in KINDS.items():
        for times in (1, 2):
            began = process_time()
            verdicts = [
                judge(planted(kind, number, times), seed=number, quick=True)
                for number in range(claims)
            ]
            p = np.array(
                [1.0 if verdict.p_value is None else verdict.p_value for verdict in verdicts]
            )
            values = round(float(np.mean([verdict.replicates or 0 for verdict in verdicts])))
            below = [int((p <= tail).sum()) for tail in TAILS]
            contradicted = sum(verdict.verdict == "contradicted" for verdict in verdicts)
            cpu = round((process_time() - began) / claims, 3)
            yield name, f"{times} tau", claims, *below, contradicted, values, cpu


def main(file: str, claims: str = "25") -> None:
    write_table(Path(file), HEADER, rows(int(claims)))


if __name__ == "__main__":
    main(*sys.argv[1:])
