"""Tables and sentences of measured heads, each described once for the terminal and the pages."""

from collections.abc import Callable, Sequence
from typing import Any

from experiments.results import FEWEST, GROUPS, QUANTITIES, too_few
from experiments.table import CORRELATION, NUMBER, WORDS, Column, Table, gain, interval, points

Record = dict[str, Any]
Shown = Callable[[float], str]


def spanned(show: Shown, value: float | None, ends: Sequence[float] | None) -> str:
    """A number, if it is resolved, with its interval below it, if it has one."""
    first = "not resolved" if value is None else show(value)
    return first if ends is None else f"{first}\n{show(ends[0])} to {show(ends[1])}"


def _column(words: str, key: str, show: Shown = points) -> Column:
    """A number of a head with its interval over photos, and one over classes if it is known."""

    def cell(head: Record) -> str:
        over = head.get("interval_over_classes")
        over_photos = spanned(show, head[key], head["interval"][key])
        return (
            over_photos
            if over is None
            else f"{over_photos}\nclasses:\n{show(over[key][0])} to {show(over[key][1])}"
        )

    return Column(words, cell, NUMBER)


PLACE_WORDS = (
    "p′ is the share of common photos in data whose best classifier has the same drop; r are the"
    " points that a model lacks on both groups, compared with that classifier. Lines: 95 %"
    " intervals. Without a dot p′ is not resolved."
)
PLACE_COLUMNS = [
    _column("p′", "equivalent_correlation", CORRELATION.shown),
    _column("r, points short", "shortfall"),
]


def listed(model: Record) -> list[Record]:
    """Heads and fixes in order, each with its `kind` and with its number and name as `words`."""
    every = [("head", entry) for entry in model["heads"]] + [
        ("fix", entry) for entry in model["fixes"]
    ]
    return [
        {**e, "kind": kind, "words": f"{number} {e[kind]}"}
        for number, (kind, e) in enumerate(every, start=1)
    ]


def heads_table(model: Record) -> Table:
    """Heads of one model's embeddings."""

    def worst(head: Record) -> str:
        cell = head["worst_group"]
        return f"{points(cell['accuracy'])}\n{cell['name']}, {cell['group']}"

    def unseen(head: Record) -> str:
        return spanned(points, head["unseen"]["accuracy"], head["unseen"]["interval"])

    columns = [Column("head", "words")]
    columns += [*(_column(f"{group} %", group) for group in GROUPS), _column("drop", "drop")]
    columns.append(Column("worst class and group %", worst, WORDS, lambda head: "number"))
    if model["rows_measured"]["unseen"]:
        columns.append(Column("unseen %", unseen, NUMBER))
    return Table(
        None,
        [*columns, *PLACE_COLUMNS],
        [entry for entry in listed(model) if entry["kind"] == "head"],
    )


def fixes_table(model: Record) -> Table:
    """What each fix of zero-shot gains."""

    def gained(group: str) -> Callable[[Record], str]:
        return lambda fix: spanned(gain, fix["gain"][group], fix["gain_interval"][group])

    columns = [Column("fix", "words")]
    columns += [Column(f"gain on {group}", gained(group), NUMBER) for group in GROUPS]
    return Table(
        None,
        [*columns, *PLACE_COLUMNS],
        [entry for entry in listed(model) if entry["kind"] == "fix"],
    )


def in_order(order: Sequence[str], document: Record) -> str | None:
    """Models in order of p', those that the photos do not tell apart, and how many have no resolved
    p'; None for one.

    >>> in_order(["a", "b", "c"], {"not_distinguished": ["c"], "unresolved": ["d"]})
    'a, b, c (not distinguished from b); 1 of 4 models is left out, since its p′ is not resolved'
    """
    alike = document["not_distinguished"]
    left = len(document["unresolved"])
    parts = [
        f"{name} (not distinguished from {below})" if name in alike else name
        for below, name in zip(["", *order], order, strict=False)
    ]
    out = f"{left} of {len(order) + left} models {'is' if left == 1 else 'are'} left out, since "
    out += f"{'its' if left == 1 else 'their'} p′ is not resolved"
    return (
        "; ".join([*filter(None, [", ".join(parts)]), *[out] * bool(left)])
        if len(order) + left > 1
        else None
    )


def data_share(model: Record) -> str:
    """p, the share of common photos in training, beside the first head's p'; or that the file does
    not tell it.
    """
    p, head, n = model["correlation_of_train_rows"], model["heads"][0], model["rows_measured"]
    if p is None:
        here = (
            f"of the photos measured here {100 * n['common'] / (n['common'] + n['counter']):.0f} %"
            " are common"
        )
        return (
            "p, the share of common photos in training, is unknown, since this file marks no"
            f" training rows; {here}"
        )
    share = (
        "p, the share of common photos in the training rows of this file, is"
        f" {CORRELATION.shown(p)}"
    )
    own = head["equivalent_correlation"]
    return share if own is None else f"{share}; p′ − p of {head['head']} is {own - p:+z.3f}"


def relies(name: str, p: float | None, ends: Sequence[float] | None, images: str = "photos") -> str:
    """How much a classifier relies on the background: p' and its interval in one sentence.

    >>> relies("zero-shot", None, (0.812, 0.939))
    'The photos do not resolve how much zero-shot relies on the background: p′ lies within 81 to 94
    %'
    """
    span = "" if ends is None else f"{100 * ends[0]:.0f} to {100 * ends[1]:.0f} %"
    if p is None:
        return (
            f"The {images} do not resolve how much {name} relies on the background: p′ lies within"
            f" {span}"
        )
    share = f"{100 * p:.0f} %" + f" ({span})" * bool(span)
    like = f"as much as the best classifier of data in which {share} of the {images} are common"
    return f"{name} relies on the background {like}"


def answer(name: str, head: Record) -> str:
    """The sentence of a measured head; where p' is not resolved, with how many more photos would
    resolve it.
    """
    reliance = relies(
        name, head["equivalent_correlation"], head["interval"]["equivalent_correlation"]
    )
    if (times := head.get("photos_needed")) is None:
        return reliance
    return f"{reliance}; about {times:.1f} times as many photos of each group would resolve it"


def accuracies(record: Record, ends: Record) -> str:
    """Accuracies and their drop with intervals in one line."""
    units = {name: "points" if name == "drop" else "%" for name in record}
    return ", ".join(
        f"{name} {points(value)} {units[name]} ({interval(ends[name])})"
        for name, value in record.items()
    )


def in_short(model: Record) -> list[str]:
    """Accuracies of a model's first head, and what it lacks, a sentence each."""
    first = model["heads"][0]
    lack = f"{points(first['shortfall'])} points ({interval(first['interval']['shortfall'])})"
    groups = accuracies({name: first[name] for name in QUANTITIES}, first["interval"])
    return [groups, f"{lack} short of the best heads at the same drop, on each group"]


def best_fix(model: Record) -> str | None:
    """The fix with the best worse group."""
    if not model["fixes"]:
        return None
    best = max(model["fixes"], key=lambda fix: min(fix[group] for group in GROUPS))
    gains = " and ".join(f"{gain(best['gain'][group])} points on {group}" for group in GROUPS)
    return f"the fix with the best worse group, {best['fix']}: {gains} photos"


def rows_measured(model: Record) -> str:
    """How many embeddings there are and were measured, and what intervals are over."""
    n = model["rows_measured"]
    words = (
        f"{model['rows']} embeddings of {model['dimensions']} dimensions, {model['classes']}"
        " classes; "
    )
    words += (
        f"{n['common']} common and {n['counter']} counter photos measured; 95 % intervals over"
        " photos"
    )
    return words + f": {too_few(model['classes'])}" * (model["classes"] < FEWEST)


def detail(measured: Record | None) -> str | None:
    """The detail of the captions in one sentence."""
    if measured is None:
        return None
    each = (
        "{:.2f} ({:.2f} to {:.2f})".format(one["value"], *one["interval"])
        for one in measured["correlations"]
    )
    words = f"detail of the captions, a lower bound: {', '.join(each)}"
    return f"{words} (correlation with the image within class and background)"
