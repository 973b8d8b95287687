"""Named tables of joint probabilities, for `World(table=...)`: K classes (rows) by A backgrounds
(columns).

>>> compositional(2, 3, 1)
array([[0.  , 0.25, 0.25],
       [0.25, 0.  , 0.25]])

In text, a table is its name with arguments: compositional(2, 3, 1), or mixture([diagonal(1),
diagonal(0.5)], [3, 1]).
"""

import ast
import re
import reprlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from simulator.naming import outside, suggestion

JointLaw = Float[np.ndarray, "K A"]


def diagonal(p: float, classes: int = 2) -> JointLaw:
    """The table of `p_spu`: background y with probability p, given class y, else a uniform one of
    the others.
    """
    K = _whole("classes", classes, 2)
    return np.where(np.eye(K), _within("p", p, 0, 1), (1 - p) / (K - 1)) / K


def compositional(classes: int, backgrounds: int, hole: int) -> JointLaw:
    """Class y is never shown on the `hole` backgrounds y, y + 1, ... (modulo A), and equally often
    on all others.
    """
    K = _whole("classes", classes, 2)
    A = _whole("backgrounds", backgrounds, 2)
    present = (np.arange(A) - np.arange(K)[:, None]) % A >= _whole("hole", hole, 0, A - 1)
    return present / present.sum()


def leave_one_domain_out(classes: int, backgrounds: int, domain: int = 0) -> JointLaw:
    """No class is ever shown on one background, and every class equally often on all others."""
    K = _whole("classes", classes, 2)
    A = _whole("backgrounds", backgrounds, 2)
    present = np.tile(np.arange(A) != _whole("domain", domain, 0, A - 1), (K, 1))
    return present / present.sum()


def long_tail(exponent: float, classes: int, backgrounds: int) -> JointLaw:
    """The class of rank k, from 1, is as frequent as k^-exponent; backgrounds are uniform and
    independent of it.
    """
    K = _whole("classes", classes, 2)
    A = _whole("backgrounds", backgrounds, 2)
    rows = np.arange(1.0, K + 1) ** -_within("exponent", exponent, 0, 10)
    return np.tile(rows[:, None] / (A * rows.sum()), (1, A))


def mixture(tables: Sequence[JointLaw], weights: Sequence[float]) -> JointLaw:
    """Pairs from several sources: the mean of their tables with these weights."""
    shapes = {np.shape(table) for table in tables}
    w = np.array(weights, float)
    if len(shapes) != 1:
        raise ValueError(
            f"mixture of tables of shapes {sorted(shapes)}; expected tables of one shape"
        )
    if len(w) != len(tables) or not (w >= 0).all() or not 0 < w.sum() < np.inf:
        raise ValueError(
            f"mixture of {len(tables)} tables with weights {list(weights)}; expected one number >="
            " 0 each"
        )
    return np.tensordot(w / w.sum(), np.array(tables), axes=1)


NAMED: dict[str, Callable[..., JointLaw]] = {
    function.__name__.replace("_", "-"): function
    for function in (diagonal, compositional, leave_one_domain_out, long_tail, mixture)
}


def named(text: str) -> JointLaw:
    """The table that a text such as "compositional(3, 4, 1)" names; nothing else in the text is
    evaluated.
    """
    try:
        call = ast.parse(re.sub(r"(?<=[a-z])-(?=[a-z])", "_", text.strip()), mode="eval").body
        if isinstance(call, ast.Call):
            return _value(call)
    except (SyntaxError, RecursionError, MemoryError, TypeError):
        pass
    raise ValueError(f"{reprlib.repr(text)} is not a table such as 'compositional(3, 4, 1)'")


def _value(node: ast.expr) -> Any:
    """The value of a number, a list or a named table. TypeError for other expressions."""
    match node:
        case ast.Call(func=ast.Name(id=word)):
            name = word.replace("_", "-")
            if name not in NAMED:
                raise ValueError(
                    f"{word!r} is not one of the tables {', '.join(NAMED)}{suggestion(name, NAMED)}"
                )
            options = {str(option.arg): _value(option.value) for option in node.keywords}
            return NAMED[name](*map(_value, node.args), **options)
        case ast.List():
            return [_value(element) for element in node.elts]
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand)
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
    raise TypeError(node)


def _whole(name: str, value: float, low: int, high: float = 1000) -> int:
    if value != value // 1:
        raise ValueError(f"{name} = {value!r} is not a whole number")
    return int(_within(name, value, low, high))


def _within(name: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ValueError(f"{name} = {outside(value, low, high)}")
    return value
