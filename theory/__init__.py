"""Closed forms, blind to every measurement: float64, numpy and scipy only.

    >>> from theory import Axis, Claim, Phi, exp, learners, sqrt

The names are loaded on first use; the package itself imports nothing.
"""

_HOMES = {
    "Axis": "theory.claims.claim:Axis",
    "Claim": "theory.claims.claim:Claim",
    # What predictions may be written with, besides +, -, *, / and powers: these take formulas, too.
    "Phi": "theory.accuracy:Phi",
    "exp": "numpy:exp",
    "sqrt": "numpy:sqrt",
    "learners": "theory.learners",
}


def __getattr__(name: str):
    if name in _HOMES:
        from pkgutil import resolve_name

        return resolve_name(_HOMES[name])
    raise AttributeError(f"module 'theory' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
