"""Claims, and what they say at n = infinity; for tests of quantities, of proofs and of the
judge.
"""

import numpy as np

from simulator.world import World
from theory.claims.claim import Claim


def claim(**fields) -> Claim:
    """A claim about the counter accuracy at least, with other fields as given."""
    words = {
        "id": "c",
        "source": "test",
        "statement": "A statement.",
        "quantity": "counter",
        "relation": ">=",
    }
    return Claim(**{**words, "domain": {"p_spu": 0.9}, **fields})


def truth(claim: Claim, worlds: World) -> np.ndarray:
    """The quantity of a claim by the closed forms, `against` subtracted."""
    value, *subtracted = (
        np.asarray(claim.quantity.truth(claim, each, worlds)) for each in claim.learners
    )
    return value - sum(subtracted)
