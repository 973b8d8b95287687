"""What claims say at n = infinity; for tests of quantities and of the judge."""

import numpy as np

from simulator.world import World
from theory.claims.claim import Claim


def truth(claim: Claim, worlds: World) -> np.ndarray:
    """The quantity of a claim by the closed forms, `against` subtracted."""
    value, *subtracted = (np.asarray(claim.quantity.truth(claim, each, worlds)) for each in claim.learners)
    return value - sum(subtracted)
