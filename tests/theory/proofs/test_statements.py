"""A statement's unit cube is the claim's domain, and its obligations imply what the claim says."""

from contextlib import suppress
from itertools import product

import numpy as np

from theory.claims.relations import LATER
from theory.docket.catalogue import CLAIMS
from theory.proofs.expression import FLOATS, NotExpressible, evaluate
from theory.proofs.statements import LATER as COORDINATE
from theory.proofs.statements import cases, statements


def test_the_cube_ends_where_the_domain_ends():
    """At corners, whole numbers and later points: the checker begins with this statement, and would
    not see less.
    """
    tried = 0
    for claim in CLAIMS:
        with suppress(NotExpressible):
            found = statements(claim)
            tried += 1
            unit = np.array(list(product((0.0, 1.0), repeat=claim.dimension)))
            grid = claim.relation.points(claim, unit)
            at = dict(zip(claim.axes, unit.T, strict=False))
            if claim.relation.further:
                at[claim.along], at[COORDINATE] = np.sort([at[claim.along], unit[:, -1]], axis=0)
            covered = np.zeros(len(unit), bool)
            for statement, whole in zip(found, cases(claim), strict=True):
                here = np.full(len(unit), True)
                for name, value in whole.items():
                    here &= grid[name] == value
                later = {} if statement.later is None else {claim.along + LATER: statement.later}
                fields = statement.fields | later
                values = evaluate(
                    list(fields.values()), FLOATS, {name: u[here] for name, u in at.items()}
                )
                for name, value in zip(fields, values, strict=True):
                    assert np.allclose(value, grid[name][here], rtol=1e-12, atol=0), (
                        claim.id,
                        name,
                    )
                covered |= here
            assert covered.all(), claim.id
    assert tried > 70


def test_where_an_obligation_holds_no_violation_exceeds_tau():
    """At random points of claims that fail somewhere: there the violations lie on both sides of
    tau.
    """
    near = 0
    for claim in CLAIMS:
        with suppress(NotExpressible):
            for statement in statements(claim):
                # one obligation, of a derivative, implies it for all pairs of points
                if statement.later is not None:
                    continue
                names = {
                    name for obligation in statement.obligations for name in obligation.coordinates
                }
                at = dict(
                    zip(
                        sorted(names),
                        np.random.default_rng(0).random((len(names), 2000)),
                        strict=True,
                    )
                )
                for violation, obligation in zip(
                    statement.violations, statement.obligations, strict=False
                ):
                    v, where, *sides = evaluate(
                        [*violation, *(one.f for one in obligation.alternatives)], FLOATS, at
                    )
                    holds = [
                        f <= one.limit
                        for f, one in zip(sides, obligation.alternatives, strict=True)
                    ]
                    fails = (where > 0) & (v > float(statement.tau) + 1e-9)
                    assert not np.any(fails & np.any(holds, axis=0)), (claim.id, obligation.words)
                    near += np.sum(fails & (v < 2 * float(statement.tau)))
    assert near > 100
