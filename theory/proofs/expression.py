"""Formulas recorded from the functions that evaluate them.

An `Expression` takes the place of a number in theory's functions, numpy's ufuncs and scipy's ndtr. The result is the
formula, as a graph that has every common part once. So the proved formula is the evaluated one.
Constants are exact rationals; a float is the rational number that it represents.

    >>> from theory.published import corrected_kappas
    >>> p = variable("p")
    >>> str(corrected_kappas(p, 2.0, 1.0, 0.0)[0])
    '((2 - (4 * ((2 * p) - 1))) / sqrt(4))'
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from scipy.special import ndtr

BINARY = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
UNARY = ("sqrt", "exp", "log", "tanh", "ndtr")
COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
HIGHEST = 64  # power that is multiplied out
LARGEST = 20_000  # nodes of a formula; more is a loop that ran away
BRANCHES = "it branches on a value; write it without the branch"
PROVABLE = f"{', '.join(BINARY.values())}, powers, {', '.join(UNARY)}"

FLOATS = {  # for `evaluate`: floats and arrays of them
    "constant": float,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": lambda a, n: a**n,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "ndtr": ndtr,
    "density": lambda x: np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi),
}


class NotExpressible(ValueError):
    """A function needs more than arithmetic: a branch, an array, or an operation without a proof rule."""


class Expression(np.lib.mixins.NDArrayOperatorsMixin):
    """A node: `op` on `args`. Equal formulas are one object, so that `is` compares them."""

    __slots__ = ("__weakref__", "args", "op", "value")
    op: str  # "variable", "constant", "power", a key of BINARY or one of UNARY
    args: tuple["Expression", ...]
    value: Any  # a variable's name, a constant's Fraction, a power's whole exponent; else None

    def __repr__(self) -> str:
        return f"Expression({self})"

    def __str__(self) -> str:
        if self.op in ("variable", "constant"):
            return str(self.value)
        if self.op == "power":
            return f"{self.args[0]}**{self.value}"
        if self.op in BINARY:
            return f"({self.args[0]} {BINARY[self.op]} {self.args[1]})"
        return f"{self.op}({self.args[0]})"

    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        if method != "__call__" or options:
            raise NotExpressible(f"{ufunc.__name__}.{method} over an array is no arithmetic of single numbers")
        return _apply(ufunc.__name__, *map(constant, inputs))

    def __array_function__(self, function, types, args, kwargs):
        if function is np.broadcast_arrays:
            return tuple(map(constant, args))
        if function is np.stack:
            return np.stack([np.array(constant(e), object) for e in args[0]], *args[1:], **kwargs)
        raise NotExpressible(f"numpy.{function.__name__} is no arithmetic of single numbers")

    def __bool__(self):
        raise NotExpressible(BRANCHES)

    def __float__(self):
        raise NotExpressible(
            "it makes a float or an array of a field; sqrt, exp and Phi of theory take fields as they are"
        )


_known: WeakValueDictionary = WeakValueDictionary()


def _node(op: str, args: tuple[Expression, ...] = (), value: Any = None) -> Expression:
    key = (op, *map(id, args), value)
    found = _known.get(key)
    if found is None:
        found = object.__new__(Expression)
        found.op, found.args, found.value = op, args, value
        _known[key] = found
    return found


def variable(name: str) -> Expression:
    """A variable of this name."""
    return _node("variable", value=name)


def constant(value: Any) -> Expression:
    """An exact constant; an expression is returned as it is. Raises NotExpressible for arrays and what is no number."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, Expression):
        return value
    if isinstance(value, np.ndarray | list | tuple):
        raise NotExpressible("it needs arrays; only arithmetic of single numbers is proved")
    if isinstance(value, str):
        raise NotExpressible(f"{value!r} is no finite number")
    try:
        return _node("constant", value=Fraction(value.item() if isinstance(value, np.generic) else value))
    except (TypeError, ValueError, OverflowError):
        raise NotExpressible(f"{value!r} is no finite number") from None


def density(x: Expression) -> Expression:
    """Phi'(x), an operation of its own: 1/sqrt(2 pi) is no rational."""
    return _node("density", (x,))


def _is(e: Expression, number: int) -> bool:
    return e.op == "constant" and e.value == number


def _apply(name: str, *args: Expression) -> Expression | bool:
    """The node of a ufunc on expressions. Constants are folded exactly and neutral elements dropped.

    A comparison of two constants is a truth value.
    """
    if name == "negative":
        return _apply("multiply", constant(-1), *args)
    if name == "positive":
        return args[0]
    if name == "square":
        return _power(args[0], 2)
    if name in ("power", "float_power"):
        return _raised(*args)
    if name in COMPARISONS:
        if any(a.op != "constant" for a in args):
            raise NotExpressible(BRANCHES)
        return bool(getattr(np, name)(*(a.value for a in args)))  # Fractions compare exactly
    if name == "ndtri" and args[0].op == "ndtr":
        return args[0].args[0]
    if name in BINARY:
        return _binary(name, *args)
    if name in UNARY:
        return _node(name, args)
    raise NotExpressible(f"{name} has no rule of proof; {PROVABLE} have")


def _binary(name: str, a: Expression, b: Expression) -> Expression:
    if a.op == b.op == "constant" and not (name == "divide" and b.value == 0):
        x, y = a.value, b.value
        return constant({"add": x + y, "subtract": x - y, "multiply": x * y}[name] if name != "divide" else x / y)
    if (_is(b, 0) and name in ("add", "subtract")) or (_is(b, 1) and name in ("multiply", "divide")):
        return a
    if (_is(a, 0) and name == "add") or (_is(a, 1) and name == "multiply"):
        return b
    if name == "multiply" and ((_is(a, 0) and total(b)) or (_is(b, 0) and total(a))):
        return constant(0)
    if name == "divide" and _is(a, 0) and b.op == "constant" and b.value != 0:
        return constant(0)
    if a is b and name == "multiply":
        return _power(a, 2)
    if _is(a, 1) and name == "subtract" and b.op == "ndtr":  # 1 - Phi(x) = Phi(-x)
        return _apply("ndtr", -b.args[0])
    if name == "multiply" and a.op == "constant" and b.op == "multiply" and b.args[0].op == "constant":
        return _binary("multiply", constant(a.value * b.args[0].value), b.args[1])
    return _node(name, (a, b))


def _raised(base: Expression, exponent: Expression) -> Expression:
    """base^exponent by whole powers and roots, where those do, else as exp(exponent log(base)), of a base above 0."""
    q = exponent.value if exponent.op == "constant" else None
    if q is None or q.denominator > 2 or abs(q.numerator) > HIGHEST:
        return _apply("exp", exponent * _apply("log", base))
    power = _power(base if q.denominator == 1 else _apply("sqrt", base), abs(q.numerator))
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
    seen: set[Expression] = set()
    stack = [(e, False) for e in reversed(list(outputs))]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(a, False) for a in reversed(node.args)]
        if len(seen) > LARGEST:
            raise NotExpressible(f"the formula has more than {LARGEST} operations")
    return order


def evaluate(outputs: list[Expression], rules: Mapping[str, Callable], values: Mapping[str, Any]) -> list[Any]:
    """The outputs in another arithmetic: `rules` has one function per operation, and "constant" for a Fraction."""
    found: dict[Expression, Any] = {}
    for node in in_order(outputs):
        if node.op == "variable":
            found[node] = values[node.value]
        elif node.op == "constant":
            found[node] = rules["constant"](node.value)
        elif node.op == "power":
            found[node] = rules["power"](found[node.args[0]], node.value)
        else:
            found[node] = rules[node.op](*(found[a] for a in node.args))
    return [found[e] for e in outputs]


def variables(*outputs: Expression) -> list[str]:
    """Names of the variables in the outputs."""
    return [node.value for node in in_order(outputs) if node.op == "variable"]


def gradient(output: Expression, names: Iterable[str]) -> list[Expression]:
    """Derivatives along each variable, as expressions (reverse mode, so that they share their parts)."""
    order = in_order([output])
    adjoint = {output: constant(1)}
    for node in reversed(order):
        passed = adjoint.get(node)
        if passed is None or _is(passed, 0):
            continue
        for argument, slope in zip(node.args, _slopes(node), strict=True):
            part = passed * slope
            adjoint[argument] = adjoint[argument] + part if argument in adjoint else part
    return [adjoint.get(variable(name), constant(0)) for name in names]


def derivative(output: Expression, name: str) -> Expression:
    """Along one variable."""
    return gradient(output, [name])[0]


def total(e: Expression) -> bool:
    """Whether e has a value everywhere: 0 e is 0 only then."""
    return not any(node.op in ("divide", "sqrt", "log") for node in in_order([e]))


def has_root(e: Expression) -> bool:
    """Whether an operation other than +, -, *, / and whole powers occurs."""
    return any(node.op in (*UNARY, "density") for node in in_order([e]))


def _slopes(node: Expression) -> tuple[Expression, ...]:
    """The derivative of a node along each argument."""
    one, x = constant(1), node.args[0] if node.args else None
    match node.op:
        case "add":
            return one, one
        case "subtract":
            return one, constant(-1)
        case "multiply":
            return node.args[1], x
        case "divide":
            return one / node.args[1], -node / node.args[1]
        case "power":
            return (node.value * x ** (node.value - 1),)
        case "sqrt":
            return (1 / (2 * node),)
        case "exp":
            return (node,)
        case "log":
            return (1 / x,)
        case "tanh":
            return (1 - node**2,)
        case "ndtr":
            return (density(x),)
        case "density":
            return (-x * node,)
    return ()


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
