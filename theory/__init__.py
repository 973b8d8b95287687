"""Closed forms, blind to every measurement: float64, numpy and scipy only.

    >>> from theory import Axis, Claim, learners

The names are loaded on first use; the package itself imports nothing.
"""

_HOMES = {"Axis": "theory.claims.claim", "Claim": "theory.claims.claim", "learners": "theory.learners"}


def __getattr__(name: str):
    if name in _HOMES:
        from importlib import import_module

        home = import_module(_HOMES[name])
        return home if home.__name__ == f"theory.{name}" else getattr(home, name)
    raise AttributeError(f"module 'theory' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
