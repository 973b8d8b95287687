"""Closed forms in float64, by numpy and scipy alone. They depend on no measurement.

    >>> from theory import Axis, Claim, Phi, exp, learners, sqrt

The names are loaded on first use.
"""

from simulator.naming import loaded_on_first_use

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
__getattr__, __dir__, __doc__ = loaded_on_first_use(__name__, __doc__, _HOMES)
