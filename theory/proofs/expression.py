"""Formulas recorded from the functions that evaluate them.

An `Expression` takes the place of a number in theory's functions, numpy's ufuncs and scipy's ndtr.
The result is the formula, as a graph that has every common part once. So the proved formula is the
evaluated one. Constants are exact rationals; a float is the rational number that it represents.

    >>> from theory.published import corrected_kappas
    >>> p = variable("p")
    >>> str(corrected_kappas(p, 2.0, 1.0, 0.0)[0])
    '((2 - (4 * ((2 * p) - 1))) / sqrt(4))'
"""

import hashlib
import operator
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from scipy.special import ndtr

BINARY = {  # symbol, and the operation on constants
    "add": ("+", operator.add),
    "subtract": ("-", operator.sub),
    "multiply": ("*", operator.mul),
    "divide": ("/", operator.truediv),
}
UNARY = ("sqrt", "exp", "log", "ndtr")
COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
HIGHEST = 64  # power that is multiplied out
MOST_NODES = 20_000  # of a formula; more is a loop that ran away
# of a constant; exact numbers grow without end in a loop
LARGEST, MOST_BITS = Fraction(np.finfo(float).max), 10_000
BRANCHES = "it branches on a value; write it without the branch"

FLOATS = {  # for `evaluate`: floats and arrays of them
    "constant": float,
    "ndtr": ndtr,
    "density": lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi),
} | {op: getattr(np, op) for op in (*BINARY, "power", "sqrt", "exp", "log")}


class NotExpressible(ValueError):
    """A function needs more than arithmetic: a branch, an array, or an operation without a proof
    rule.
    """


class Expression(np.lib.mixins.NDArrayOperatorsMixin):
    """A node: `op` on `args`. Equal formulas are one object, so that `is` compares them; `_node`
    makes them.

    op is "variable", "constant", "power", "density", a key of BINARY or one of UNARY. value is a
    variable's name, a constant's Fraction or a power's whole exponent, else None.
    """

    def __init__(self, op: str, args: tuple["Expression", ...], value: Any):
        self.op, self.args, self.value = op, args, value

    def __repr__(self) -> str:
        if self.op in ("variable", "constant"):
            return str(self.value)
        if self.op == "power":
            return f"{self.args[0]}**{self.value}"
        if self.op in BINARY:
            return f"({self.args[0]} {BINARY[self.op][0]} {self.args[1]})"
        return f"{self.op}({self.args[0]})"

    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__" or options:
            raise NotExpressible(
                f"{ufunc.__name__}.{method} over an array is not arithmetic of single numbers"
            )
        return _apply(ufunc.__name__, *map(constant, inputs))

    def __array_function__(self, function, types, args, kwargs):
        if function is np.broadcast_arrays:
            return tuple(map(constant, args))
        if function is np.stack:
            return np.stack([np.array(constant(e), object) for e in args[0]], *args[1:], **kwargs)
        raise NotExpressible(f"numpy.{function.__name__} is not arithmetic of single numbers")

    def __bool__(self):
        raise NotExpressible(BRANCHES)

    def __float__(self):
        raise NotExpressible(
            "it converts a field to a float or an array; sqrt, exp and Phi of theory take fields as"
            " they are"
        )


@cache
def _node(op: str, args: tuple[Expression, ...] = (), value: Any = None) -> Expression:
    return Expression(op, args, value)


def variable(name: str) -> Expression:
    """A variable of this name."""
    return _node("variable", (), name)


def constant(value: Any) -> Expression:
    """An exact constant; an expression is returned as it is. Raises NotExpressible for arrays and
    text.
    """
    if isinstance(value, np.ndarray | np.generic) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, Expression):
        return value
    if isinstance(value, np.ndarray | list | tuple):
        raise NotExpressible("it needs arrays; only arithmetic of single numbers is proved")
    try:
        q = Fraction(*value.as_integer_ratio())
    except (AttributeError, ValueError, OverflowError):  # text, nan and infinity
        raise NotExpressible(f"{value!r} is not a finite number") from None
    if abs(q) > LARGEST or max(q.numerator.bit_length(), q.denominator.bit_length()) > MOST_BITS:
        raise NotExpressible(
            "a constant of its formula is beyond float64, or has more than 10,000 binary digits"
        )
    return _node("constant", (), q)


def density(x: Expression) -> Expression:
    """Phi'(x), a separate operation, since 1/sqrt(2 pi) is not rational."""
    return _node("density", (x,))


def _is(e: Expression, number: int) -> bool:
    return e.op == "constant" and e.value == number


def _apply(name: str, *args: Expression) -> Expression | bool:
    """The node of a ufunc on expressions, constants folded exactly; a comparison of two constants
    is a truth value.
    """
    if name == "ndtri" and args[0].op == "ndtr":
        return args[0].args[0]
    if name in REWRITTEN:
        return REWRITTEN[name](*args)
    if name in COMPARISONS:
        if any(a.op != "constant" for a in args):
            raise NotExpressible(BRANCHES)
        return bool(getattr(np, name)(*(a.value for a in args)))  # Fractions compare exactly
    if name in BINARY:
        return _binary(name, *args)
    if name in UNARY:
        return _node(name, args)
    raise NotExpressible(f"{name} has no rule of proof; use +, -, *, /, powers, {', '.join(UNARY)}")


REWRITTEN: dict[str, Callable[..., Expression]] = {
    "negative": lambda a: constant(-1) * a,
    "positive": lambda a: a,
    "square": lambda a: _power(a, 2),
    "power": lambda a, b: _raised(a, b),
}


def _binary(name: str, a: Expression, b: Expression) -> Expression:
    if a.op == b.op == "constant" and not (name == "divide" and b.value == 0):
        return constant(BINARY[name][1](a.value, b.value))
    neutral = 0 if name in ("add", "subtract") else 1
    if _is(b, neutral):
        return a
    if _is(a, neutral) and name in ("add", "multiply"):
        return b
    if name == "multiply" and ((_is(a, 0) and total(b)) or (_is(b, 0) and total(a))):
        return constant(0)
    if name == "multiply" and a is b:
        return _power(a, 2)
    if (
        name == "multiply"
        and a.op == "constant"
        and b.op == "multiply"
        and b.args[0].op == "constant"
    ):
        return _binary("multiply", constant(a.value * b.args[0].value), b.args[1])
    if name == "subtract" and _is(a, 1) and b.op == "ndtr":  # 1 - Phi(x) = Phi(-x)
        return _node("ndtr", (-b.args[0],))
    return _node(name, (a, b))


def _raised(base: Expression, exponent: Expression) -> Expression:
    """base^exponent by whole powers and roots where possible, else as exp(exponent log(base))."""
    q = exponent.value if exponent.op == "constant" else None
    if q is None or q.denominator > 2 or abs(q.numerator) > HIGHEST:
        return np.exp(exponent * np.log(base))
    power = _power(base if q.denominator == 1 else np.sqrt(base), abs(q.numerator))
    return power if q >= 0 else 1 / power


def _power(base: Expression, n: int) -> Expression:
    if n == 0:
        return 1 + 0 * base
    if n == 1:
        return base
    return constant(base.value**n) if base.op == "constant" else _node("power", (base,), n)


def in_order(outputs: Iterable[Expression]) -> list[Expression]:
    """Every node that the outputs need, arguments first."""
    order: list[Expression] = []
    visits: set[Expression] = set()
    stack = [(e, False) for e in reversed(list(outputs))]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in visits:
            visits.add(node)
            stack.append((node, True))
            stack += [(a, False) for a in reversed(node.args)]
        if len(visits) > MOST_NODES:
            raise NotExpressible(f"the formula has more than {MOST_NODES} operations")
    return order


def evaluate(
    outputs: list[Expression], rules: Mapping[str, Callable], values: Mapping[str, Any]
) -> list[Any]:
    """The outputs in another arithmetic: `rules` has one function per operation, and "constant" for
    a Fraction.
    """
    memo: dict[Expression, Any] = {}
    for node in in_order(outputs):
        if node.op == "variable":
            memo[node] = values[node.value]
            continue
        arguments = () if node.value is None else (node.value,)
        memo[node] = rules[node.op](*(memo[a] for a in node.args), *arguments)
    return [memo[e] for e in outputs]


def variables(*outputs: Expression) -> list[str]:
    """Names of the variables in the outputs."""
    return [node.value for node in in_order(outputs) if node.op == "variable"]


def gradient(output: Expression, names: Iterable[str]) -> list[Expression]:
    """Derivatives along each variable, as expressions (reverse mode, so that they share their
    parts).
    """
    adjoint = {output: constant(1)}
    for node in reversed(in_order([output])):
        passed = adjoint.get(node, constant(0))
        if node.args and not _is(passed, 0):
            for argument, slope in zip(node.args, SLOPES[node.op](node, *node.args), strict=True):
                adjoint[argument] = adjoint.get(argument, constant(0)) + passed * slope
    return [adjoint.get(variable(name), constant(0)) for name in names]


def total(e: Expression) -> bool:
    """Whether e has a value everywhere; only then is 0 e equal to 0."""
    return not any(node.op in ("divide", "sqrt", "log") for node in in_order([e]))


# the derivative of a node y along each argument
SLOPES: dict[str, Callable[..., tuple[Expression, ...]]] = {
    "add": lambda y, a, b: (constant(1), constant(1)),
    "subtract": lambda y, a, b: (constant(1), constant(-1)),
    "multiply": lambda y, a, b: (b, a),
    "divide": lambda y, a, b: (1 / b, -y / b),
    "power": lambda y, a: (y.value * a ** (y.value - 1),),
    "sqrt": lambda y, a: (1 / (2 * y),),
    "exp": lambda y, a: (y,),
    "log": lambda y, a: (1 / a,),
    "ndtr": lambda y, a: (density(a),),
    "density": lambda y, a: (-a * y,),
}


def digest(outputs: Iterable[Expression]) -> str:
    """SHA-256 of the formulas, operation by operation."""
    outputs = list(outputs)
    place: dict[Expression, int] = {}
    text = []
    for node in in_order(outputs):
        place[node] = len(place)
        text.append(f"{node.op} {node.value} {' '.join(str(place[a]) for a in node.args)}")
    text.append(f"outputs {' '.join(str(place[e]) for e in outputs)}")
    return hashlib.sha256("\n".join(text).encode()).hexdigest()
