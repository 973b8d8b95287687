"""Closed forms, blind to every measurement: float64, numpy and scipy only.

    >>> from theory import Axis, Claim, Phi, exp, learners, sqrt

The names are loaded on first use; the package itself imports nothing.
"""

_HOMES = {
    **dict.fromkeys(("Axis", "Claim"), "theory.claims.claim"),
    **dict.fromkeys(("Phi", "exp", "sqrt"), "theory.arithmetic"),
    "learners": "theory.learners",
}


def __getattr__(name: str):
    if name in _HOMES:
        from importlib import import_module

        home = import_module(_HOMES[name])
        return home if home.__name__ == f"theory.{name}" else getattr(home, name)
    raise AttributeError(f"module 'theory' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
