"""Closed forms, blind to every measurement: float64, numpy and scipy only.

    >>> from theory import Claim

`Claim` is loaded on first use; the package itself imports nothing.
"""


def __getattr__(name: str):
    if name == "Claim":
        from theory.claims.claim import Claim

        return Claim
    raise AttributeError(f"module 'theory' has no attribute {name!r}")
