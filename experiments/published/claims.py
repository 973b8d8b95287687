"""Claims of [W] (Wang et al., arXiv 2403.11497) judged from the tables that it prints.

Each claim is computed in several variants: axis, mean over classes or photos, with and without the
models that selected the data. It is supported or contradicted only if all variants agree, otherwise
undecided. The reported variant is the one least favourable to the claim.

Selection: [W] chose the two backgrounds of every class by the accuracies of CLIP LAION400M
ViT-B/32. This inflates the drop of this model, and perhaps of related models. "unselected" leaves
out the LAION400M and ViT/B/32 CLIPs.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from time import perf_counter
from typing import Any, Literal

import numpy as np
from scipy.special import stdtrit

from experiments.effective_robustness import AXES, Axis, offset
from experiments.inference import t_bounds
from experiments.published.tables import HIGH_QUALITY, published_classes, published_rows
from experiments.results import Row
from experiments.verdict import Verdict, words_of
from simulator.streams import numpy_stream
from theory.claims.words import AnyClaim
from theory.docket.sentences import reading

ALPHA = 0.01  # default error rate of an interval
TAU = 0.005  # accuracies closer than this are equal in practice
SIMILAR = 0.01  # "similar" drops: one point, on average
REPLICATES = 10_000
ROUTE = "published tables"
MEANS = ("macro", "micro")
SUBSETS = ("all", "unselected")

Estimate = tuple[float, tuple[float, float], int]  # value, interval, number of models
Variants = Iterable[tuple[str, Estimate]]
Word = Literal["supported", "contradicted", "undecided"]
Relation = Literal["above", "not above", "within"]

# Parameters of the image tower in millions, counted from open_clip 3.3's configurations (a test
# counts again).
TOWER_MILLIONS = {
    "RN50": 38.3,
    "RN101": 56.3,
    "RN50x4": 87.1,
    "RN50x16": 167.3,
    "RN50x64": 420.4,
    "ViT/B/32": 87.8,
    "ViT/B/16": 86.2,
    "ViT/L/14": 304.0,
    "ViT/H/14": 632.1,
    "ViT/G/14": 1012.6,
    "ViT/bigG/14": 1844.9,
}


@dataclass(frozen=True, kw_only=True)
class TableClaim(AnyClaim):
    """A claim that the tables can decide; `variants` yields the name and the estimate of each
    variant.
    """

    statistic: str  # the meaning of the measured number
    relation: Relation  # to 0
    # of the error rate of intervals and the seed of bootstraps
    variants: Callable[[float, int], Variants]
    tau: float = 0.0  # violation that is allowed
    replicates: int | None = None
    exception: Callable[[], str | None] = lambda: None  # the clearest exception to the claim
    question: str = "tables"

    @property
    def name(self) -> str:
        """The id without its family."""
        return self.id.partition("/")[2]

    def declared(self) -> dict[str, Any]:
        """What gives the claim its meaning."""
        return {"relation": self.relation, "tolerance": self.tau, "variants": self.variants}

    def judge(self, alpha: float = ALPHA, seed: int = 0) -> dict[str, Any]:
        """The verdict of the tables and all variants, plain JSON; `alpha` is the error rate of each
        interval.
        """
        start = perf_counter()
        variants = [
            {
                "name": name,
                "measured": value,
                "interval": list(interval),
                "n": n,
                "verdict": decide(interval, self.relation, self.tau),
            }
            for name, (value, interval, n) in self.variants(alpha, seed)
        ]
        words = {variant["verdict"] for variant in variants}
        names = ("source", "statement", "statistic", "relation", "tau", "replicates")
        return {
            "claim": self.name,
            "alpha": alpha,
            "variants": variants,
            "note": self.exception(),
            "seconds": round(perf_counter() - start, 3),
            "predicted": 0.0,
            **{name: getattr(self, name) for name in names},
            "verdict": words.pop() if len(words) == 1 else "undecided",
        }


def worst(variants: list[dict[str, Any]], relation: Relation) -> dict[str, Any]:
    """The variant least favourable to the claim."""
    rank = {"contradicted": 0, "undecided": 1, "supported": 2}
    favour = {"above": lambda x: x, "not above": lambda x: -x, "within": lambda x: -abs(x)}[
        relation
    ]
    return min(
        variants, key=lambda variant: (rank[variant["verdict"]], favour(variant["measured"]))
    )


def decide(interval: tuple[float, float], relation: Relation, tau: float) -> Word:
    """The verdict on a statistic from its interval: supported or contradicted only if all of the
    interval says so.
    """
    low, high = interval
    yes, no = {
        "above": (low > -tau, high < -tau),
        "not above": (high < tau, low > tau),
        "within": (-tau < low and high < tau, low > tau or high < -tau),
    }[relation]
    return "supported" if yes else "contradicted" if no else "undecided"


def judge(
    claim: TableClaim, *, seed: int = 0, error_rate: float | None = None, **further: Any
) -> Verdict:
    """The verdict by the worst variant of a claim; a quick trial is no shorter, and there is no
    proof.
    """
    judged = claim.judge(ALPHA if error_rate is None else error_rate, seed)
    variant = worst(judged["variants"], claim.relation)
    exception = judged["note"]
    if variant["verdict"] != "supported":
        exception = variant["name"] + (f"; {exception}" if exception else "")
    return Verdict(
        kind="published",
        **words_of(claim),
        verdict=judged["verdict"],
        predicted=0.0,
        measured=variant["measured"],
        interval=variant["interval"],
        level=1 - judged["alpha"],
        counterexample=exception,
        route=ROUTE,
        n=variant["n"],
        replicates=claim.replicates,
        alpha=judged["alpha"],
        tau=claim.tau,
        seconds=judged["seconds"],
        quantity=claim.statistic,
        relation=claim.relation,
    )


def _smallest_drop(alpha: float, seed: int) -> Variants:
    """Classes are fixed, photos are drawn. Hoeffding's bound needs no class accuracies, which the
    paper omits.
    """
    photos = np.array([c.photos for c in published_classes()], dtype=float)
    spread = {
        "macro": float((1 / photos).sum() / len(photos) ** 2),
        "micro": float((1 / photos.sum(axis=0)).sum()),
    }
    for mean in MEANS:
        rows = _models("CLIP", mean)
        radius = math.sqrt(math.log(2 * len(rows) / alpha) / 2 * spread[mean])
        least = min(row.drop for row in rows)
        yield f"{mean} mean", (least, (least - radius, least + radius), len(rows))


def _imagenet_above_clip(alpha: float, seed: int) -> Variants:
    for mean, axis, subset in product(MEANS, AXES, SUBSETS):
        name = f"{axis} axes, {mean} mean, {subset} models"
        clips = _models("CLIP", mean, subset)
        stream = numpy_stream(seed, f"imagenet-above-clip {name}")
        yield name, _offset(clips, _models("ImageNet", mean), axis, stream, alpha)


def _curated(alpha: float, seed: int) -> Variants:
    for mean, axis, subset in product(MEANS, AXES, SUBSETS):
        name = f"{axis} axes, {mean} mean, {subset} models"
        rows = _models("CLIP", mean, subset)
        curated = [row for row in rows if _data(row).startswith(HIGH_QUALITY)]
        others = [row for row in rows if row not in curated]
        yield (
            name,
            _offset(others, curated, axis, numpy_stream(seed, f"curated-data-helps {name}"), alpha),
        )


def _ensembled(alpha: float, seed: int) -> Variants:
    every = _models("CLIP", prompt="openai80")
    # the audit finds an outlier and a copy of Table 3
    damaged = ("CLIP-OpenAI-RN50x16", "CLIP-LAION2B-ViT/bigG/14")
    sound = [r for r in every if r.model not in damaged]
    for (name, rows), axis in product((("all rows", every), ("sound rows", sound)), AXES):
        stream = numpy_stream(seed, f"prompt-ensembling {name} {axis}")
        yield f"{axis} axes, {name}", _offset(rows, _models("ImageNet"), axis, stream, alpha)


def _sizes(alpha: float, seed: int) -> Variants:
    for mean, subset in product(MEANS, SUBSETS):
        rows = [r for r in _models("CLIP", mean, subset) if _backbone(r) in TOWER_MILLIONS]
        # One stratum per training set and kind of tower; a stratum with one size has no information
        # about size.
        strata = [f"{_data(r)} {'ViT' if 'ViT' in _backbone(r) else 'RN'}" for r in rows]
        size = np.log2([TOWER_MILLIONS[_backbone(r)] for r in rows])
        yield f"{mean} mean, {subset} models", _slope(size, [-r.drop for r in rows], strata, alpha)


def _larger_that_drops_more() -> str | None:
    drops = {r.model: r.drop for r in _models("CLIP")}
    small, large = drops["CLIP-OpenAI-RN101"], drops["CLIP-OpenAI-RN50x4"]
    return (
        f"OpenAI RN50x4 drops {large:.4f}, the smaller RN101 {small:.4f}" if large > small else None
    )


def _more_data(alpha: float, seed: int) -> Variants:
    sets = (("ViT/B/16", "ViT/L/14"), ("ViT/B/16", "ViT/B/32", "ViT/L/14"))
    for mean, backbones in product(MEANS, sets):
        drops = {r.model: r.drop for r in _models("CLIP", mean)}
        gain = [drops[f"CLIP-LAION400M-{b}"] - drops[f"CLIP-LAION2B-{b}"] for b in backbones]
        yield f"{mean} mean, {', '.join(backbones)}", _mean_interval(gain, alpha)


def _label_gaps() -> dict[Row, float]:
    """The drop against 20 labels minus the drop against 1000, by the row of the latter."""
    twenty = {r.model: r.drop for r in published_rows("20")}
    return {r: twenty[r.model] - r.drop for r in published_rows()}


def _label_sets(alpha: float, seed: int) -> Variants:
    for family in ("CLIP", "ImageNet"):
        gaps = [gap for row, gap in _label_gaps().items() if row.family == family]
        yield f"{family} models", _mean_interval(gaps, alpha)


def _largest_label_gap() -> str:
    row, gap = max(_label_gaps().items(), key=lambda item: abs(item[1]))
    return f"largest difference: {row.model}, {row.drop:.4f} against {row.drop + gap:.4f}"


def _models(
    family: str, mean: str = "macro", subset: str = "all", prompt: str = "simple"
) -> list[Row]:
    """The rows of a family; "unselected" leaves out those that helped to select the photos."""
    rows = [r for r in published_rows("1000", prompt, mean) if r.family == family]
    if subset == "all":
        return rows
    return [r for r in rows if not (_data(r) == "LAION400M" or _backbone(r).startswith("ViT/B/32"))]


def _data(row: Row) -> str:
    return row.model.split("-")[1]


def _backbone(row: Row) -> str:
    return row.model.split("-", 2)[2]


def _offset(
    family: list[Row], others: list[Row], axis: Axis, rng: np.random.Generator, alpha: float
) -> Estimate:
    """Mean counter accuracy of the others above the line of the family."""

    def accuracies(rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
        return np.array([row.common for row in rows]), np.array([row.counter for row in rows])

    return offset(accuracies(family), accuracies(others), axis, rng, REPLICATES, 1 - alpha)


def _mean_interval(values: list[float], alpha: float) -> Estimate:
    """Mean, its t interval, number of values."""
    bounds = t_bounds(np.array(values), alpha / 2)
    return float(np.mean(values)), (float(bounds.low), float(bounds.high)), len(values)


def _slope(x: np.ndarray, y: list[float], strata: list[str], alpha: float = ALPHA) -> Estimate:
    """Common least-squares slope within strata, its t interval, number of observations; strata of
    one size drop out.
    """
    members = [np.array(strata) == stratum for stratum in dict.fromkeys(strata)]
    parts = [np.array([x, y])[:, own] for own in members if np.ptp(x[own]) > 0]
    u, v = np.hstack([part - part.mean(axis=1, keepdims=True) for part in parts])
    slope = float(u @ v / (u @ u))
    freedom = len(u) - len(parts) - 1
    error = math.sqrt(float(((v - slope * u) ** 2).sum()) / freedom / float(u @ u))
    radius = float(stdtrit(freedom, 1 - alpha / 2)) * error
    return slope, (slope - radius, slope + radius), len(u)


CLAIMS = {
    claim.name: claim
    for claim in (
        TableClaim(
            id="counteranimal/clip-drops",
            statement="Every CLIP model is less accurate on the counter than on the common group.",
            statistic="smallest drop over the models; Hoeffding interval, Bonferroni over models",
            relation="above",
            variants=_smallest_drop,
            **reading("wang-clips-drop", "by Tables 3 and 11; the statistic is ours"),
        ),
        TableClaim(
            id="counteranimal/imagenet-above-clip",
            statement=(
                "At equal common accuracy ImageNet models are more accurate on the counter group"
                " than CLIPs."
            ),
            statistic="mean counter accuracy of ImageNet models above the line of the CLIPs",
            relation="above",
            variants=_imagenet_above_clip,
            replicates=REPLICATES,
            **reading(
                "wang-imagenet-more-robust",
                "by Figure 2 and Tables 3, 4, 11, 12; the statistic is ours",
            ),
        ),
        TableClaim(
            id="counteranimal/larger-drops-less",
            statement="On the same training data larger backbones drop less.",
            statistic=(
                "decrease of the drop per doubling of the image tower, common slope over training"
                " sets; t interval"
            ),
            relation="above",
            variants=_sizes,
            exception=_larger_that_drops_more,
            **reading("wang-larger-models-help", "by Tables 3 and 11; the statistic is ours"),
        ),
        TableClaim(
            id="counteranimal/more-data-same-drop",
            statement=(
                "At fixed backbone training on LAION2B instead of LAION400M does not reduce the"
                " drop."
            ),
            statistic=(
                "mean reduction of the drop from LAION400M to LAION2B over backbones; t interval"
            ),
            relation="not above",
            variants=_more_data,
            tau=TAU,
            **reading("wang-more-data-does-not-help", "by Tables 3 and 11; the statistic is ours"),
        ),
        TableClaim(
            id="counteranimal/curated-data-helps",
            statement=(
                "At equal common accuracy CLIPs trained on DataComp or DFN drop less than the other"
                " CLIPs."
            ),
            statistic=(
                "mean counter accuracy of DataComp and DFN models above the line of the others"
            ),
            relation="above",
            variants=_curated,
            replicates=REPLICATES,
            **reading("wang-better-data-helps", "by Tables 3 and 11; the statistic is ours"),
        ),
        TableClaim(
            id="counteranimal/prompt-ensembling",
            statement=(
                "With 80 averaged prompts ImageNet models still lie above the line of the CLIPs."
            ),
            statistic=(
                "mean counter accuracy of ImageNet models above the line of prompt-ensembled CLIPs"
            ),
            relation="above",
            variants=_ensembled,
            replicates=REPLICATES,
            **reading("wang-imagenet-more-robust", "by Table 10; the statistic is ours"),
        ),
        TableClaim(
            id="counteranimal/labels-similar",
            statement=(
                "Drops against 20 labels are similar to drops against 1000 (within .01 on average)."
            ),
            statistic="mean difference of the drops, 20 labels minus 1000; t interval over models",
            relation="within",
            variants=_label_sets,
            tau=SIMILAR,
            exception=_largest_label_gap,
            **reading("wang-drops-with-20-labels", "by Tables 3, 4, 13, 14; the statistic is ours"),
        ),
    )
}
