"""One declaration per quantity: its symbol, meaning, unit and finite domain.

Validation (pydantic), command line flags with their help, JSON schema, Hypothesis strategies and axis labels derive
from these annotated types. Bounds are finite on purpose: an infinite parameter cannot be drawn, plotted or searched.
"""

from dataclasses import dataclass
from numbers import Integral
from typing import Annotated, Any, get_args

from annotated_types import Ge, Le
from pydantic import Field


@dataclass(frozen=True)
class Quantity:
    """Symbol, meaning and unit of a number."""

    symbol: str
    meaning: str
    unit: str


def _declared(symbol: str, meaning: str, unit: str, low: float, high: float) -> tuple[Any, ...]:
    """Annotations of a type: its bounds for pydantic (integers for counts) and its Quantity."""
    inf_nan = None if isinstance(low, int) else False
    return (
        Ge(low),
        Le(high),
        Field(strict=True, allow_inf_nan=inf_nan, description=meaning),
        Quantity(symbol, meaning, unit),
    )


LATENT = "latent units"

SpuriousCorrelation = Annotated[
    float, *_declared(r"p_{\mathrm{spu}}", "probability that the background matches the label", "probability", 0.0, 1.0)
]
InvariantCorrelation = Annotated[
    float, *_declared(r"p_{\mathrm{inv}}", "probability that the object shown is the label's", "probability", 0.0, 1.0)
]
InvariantMean = Annotated[float, *_declared(r"\mu_{\mathrm{inv}}", "mean of the invariant latent", LATENT, -1e3, 1e3)]
SpuriousMean = Annotated[float, *_declared(r"\mu_{\mathrm{spu}}", "mean of the spurious latent", LATENT, -1e3, 1e3)]
InvariantScale = Annotated[
    float, *_declared(r"\sigma_{\mathrm{inv}}", "standard deviation of the invariant latent", LATENT, 0.0, 1e3)
]
SpuriousScale = Annotated[
    float, *_declared(r"\sigma_{\mathrm{spu}}", "standard deviation of the spurious latent", LATENT, 0.0, 1e3)
]
ViewNoise = Annotated[
    float,
    *_declared(r"\sigma_{\xi}", "norm of the view noise; each coordinate has variance sigma_xi^2/d", LATENT, 0.0, 1e3),
]
TextNoise = Annotated[
    float, *_declared(r"\sigma_{\xi,T}", "norm of the caption noise; unset: equal to sigma_xi", LATENT, 0.0, 1e3)
]
ImageDimension = Annotated[int, *_declared(r"d_I", "dimension of the image view", "coordinates", 1, 1_000_000)]
TextDimension = Annotated[int, *_declared(r"d_T", "dimension of the text view", "coordinates", 1, 1_000_000)]
ClassCount = Annotated[int, *_declared(r"K", "number of classes; 2 is the paper's scalar world", "classes", 2, 10_000)]
InvariantMention = Annotated[
    float, *_declared(r"\pi_{\mathrm{inv}}", "probability that a caption mentions the object", "probability", 0.0, 1.0)
]
SpuriousMention = Annotated[
    float,
    *_declared(r"\pi_{\mathrm{spu}}", "probability that a caption mentions the background", "probability", 0.0, 1.0),
]

ImageSide = Annotated[
    int, *_declared(r"S", "height and width of the images; unset: chosen by source", "pixels", 8, 512)
]
PairCount = Annotated[int, *_declared(r"n", "pairs to train on", "pairs", 2, 10**12)]
Seed = Annotated[int, *_declared(r"\mathrm{seed}", "root of every random stream", "", 0, 2**63 - 1)]


def declared(annotation):
    """The declaration inside an annotation, which may be optional (`ViewNoise | None`)."""
    if hasattr(annotation, "__metadata__"):
        return annotation
    return next(part for part in get_args(annotation) if hasattr(part, "__metadata__"))


def quantity_of(annotation) -> Quantity:
    """The Quantity inside an annotated type."""
    return next(part for part in get_args(declared(annotation)) if isinstance(part, Quantity))


def domain_of(annotation) -> tuple[float, float]:
    """(low, high) of an annotated type, both ends included."""
    parts = get_args(declared(annotation))
    low: Any = next(part.ge for part in parts if isinstance(part, Ge))  # Any: Ge accepts all comparable types
    high: Any = next(part.le for part in parts if isinstance(part, Le))
    return low, high


def check_integer(name: str, value) -> None:
    """Raise ValueError for a count that is not an integer."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} = {value!r} is not an integer")


# Quantities that are measured, not set; the same words label axes, columns and reports.
MEASURED = {
    "common": Quantity(r"\mathrm{Acc}(a = y)", "accuracy on the common group", "fraction"),
    "counter": Quantity(r"\mathrm{Acc}(a \neq y)", "accuracy on the counter group", "fraction"),
    "rand": Quantity(r"\mathrm{Rand}", "accuracy of tied classes with uniform attributes", "fraction"),
    "rev": Quantity(r"\mathrm{Rev}", "accuracy of tied classes with another tied class's attribute", "fraction"),
    "rest": Quantity(r"\mathrm{Rest}", "accuracy of the other classes with uniform attributes", "fraction"),
    "balanced": Quantity(r"\mathrm{Acc}", "mean of the two group accuracies", "fraction"),
    "drop": Quantity(r"\Delta", "common minus counter accuracy", "fraction"),
    "error-counter": Quantity(r"\mathrm{Err}(a \neq y)", "error on the counter group", "fraction"),
    "worst": Quantity(r"\min", "smaller of the two group accuracies", "fraction"),
    "reliance": Quantity(r"t", "weight on the spurious over weight on the invariant latent", "ratio"),
}
