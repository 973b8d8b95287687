"""The unit cube of a statement is the claim's domain. `experiments.court.certificates` compares the formulas."""

from contextlib import suppress
from itertools import product

import numpy as np

from theory.claims.catalogue import CLAIMS
from theory.claims.relations import LATER
from theory.proofs.expression import FLOATS, NotExpressible, evaluate
from theory.proofs.statements import LATER as COORDINATE
from theory.proofs.statements import cases, statements


def test_the_cube_ends_where_the_domain_ends():
    """At every corner, with the first and the last whole number of a field, and at the later point of a monotone claim.

    A proof about less than the domain would pass the checker, which starts with the same statement.
    """
    tried = 0
    for claim in CLAIMS:
        with suppress(NotExpressible):
            found = statements(claim)
            tried += 1
            unit = np.array(list(product((0.0, 1.0), repeat=claim.dimension)))
            grid, at = claim.relation.points(claim, unit), dict(zip(claim.axes, unit.T, strict=False))
            if claim.relation.further:
                at[claim.along], at[COORDINATE] = np.sort([at[claim.along], unit[:, -1]], axis=0)
            covered = np.zeros(len(unit), bool)
            for statement, whole in zip(found, cases(claim), strict=True):
                here = np.full(len(unit), True)
                for name, value in whole.items():
                    here &= grid[name] == value
                later = {} if statement.later is None else {claim.along + LATER: statement.later}
                fields = statement.fields | later
                values = evaluate(list(fields.values()), FLOATS, {name: u[here] for name, u in at.items()})
                for name, value in zip(fields, values, strict=True):
                    assert np.allclose(value, grid[name][here], rtol=1e-12, atol=0), (claim.id, name)
                covered |= here
            assert covered.all(), claim.id
    assert tried > 70
