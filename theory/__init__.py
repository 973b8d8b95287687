"""Closed forms in float64, by numpy and scipy alone. They depend on no measurement.

    >>> from theory import Axis, Claim, Phi, exp, learners, sqrt

The names are loaded on first use; the package itself imports nothing.
"""

_HOMES = {
    "Axis": "theory.claims.claim:Axis",
    "Claim": "theory.claims.claim:Claim",
    "equivalent": "theory.ideal_curve:equivalent",
    # Predictions may use these besides +, -, *, / and powers. They also accept formulas.
    "Phi": "theory.accuracy:Phi",
    "exp": "numpy:exp",
    "sqrt": "numpy:sqrt",
    "learners": "theory.learners",
}
__doc__ += "\nPublic names:\n\n" + "\n".join(f"- `{home.replace(':', '.')}`" for home in _HOMES.values())


def __getattr__(name: str):
    if name in _HOMES:
        from importlib import import_module

        home, _, defined = _HOMES[name].partition(":")
        module = import_module(home)
        return getattr(module, defined) if defined else module
    raise AttributeError(f"module 'theory' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
