"""Learners, one file each, with their closed forms.

>>> from theory import learners
>>> learners.named("infonce", prompt="average")
InfoNCE(prompt='mean', scale=None, embed_dim=None)

A learner of your own is a subclass of `Learner` (see `theory.learners.base`). It needs no entry:
`named` takes its class, and the command line FILE.py:CLASS. A learner that ships with the project
has its name here.
"""

from dataclasses import fields

from simulator.naming import unlisted
from theory.learners.base import Learner, attempt, latent_critic
from theory.learners.bayes import Bayes
from theory.learners.gaussian import GaussianPMI
from theory.learners.infonce import InfoNCE
from theory.learners.least_squares import LeastSquares
from theory.learners.linear import LinearCLIP
from theory.learners.logistic import Logistic
from theory.learners.max_margin import MaxMargin
from theory.learners.printed import Printed
from theory.learners.siglip import SigLIP

__all__ = [
    "Bayes",
    "GaussianPMI",
    "InfoNCE",
    "Learner",
    "LeastSquares",
    "LinearCLIP",
    "Logistic",
    "MaxMargin",
    "Printed",
    "SigLIP",
    "attempt",
    "latent_critic",
    "named",
    "names",
    "trainable",
]

_LEARNERS = {
    learner.name: learner
    for learner in (
        LinearCLIP,
        InfoNCE,
        SigLIP,
        GaussianPMI,
        Logistic,
        LeastSquares,
        Bayes,
        MaxMargin,
        Printed,
    )
}


def names() -> tuple[str, ...]:
    """The names that `named` knows."""
    return tuple(_LEARNERS)


def trainable() -> tuple[str, ...]:
    """The names of the learners that can be fitted to n drawn pairs."""
    return tuple(name for name, learner in _LEARNERS.items() if learner.estimator)


def named(name: "str | Learner | type[Learner]", **options) -> Learner:
    """The learner of a name.

    Parameters
    ----------
    name
        One of `names()`, or a class of your own; a learner is returned as it is.
    **options
        For example prompt="average" or embed_dim=4; None keeps an option's default.

    Raises
    ------
    ValueError
        For an unknown name, and for an option that has no meaning.

    Examples
    --------
    >>> named("linear", prompt="average", embed_dim=None)
    LinearCLIP(prompt='mean', embed_dim=None, projected=False, time=inf, start=0.0001)
    """
    if isinstance(name, Learner):
        return name
    if isinstance(name, str) and name not in _LEARNERS:
        raise ValueError(f"learner = {unlisted(name, _LEARNERS)}")
    kind = _LEARNERS[name] if isinstance(name, str) else name
    choices = {field.name for field in fields(kind)}
    values = {option: value for option, value in options.items() if value is not None}
    for option, value in values.items():
        if option not in choices:
            raise ValueError(
                f"{option} = {value} has no meaning for learner {kind.name!r}; leave it out"
            )
    return kind(**values)
