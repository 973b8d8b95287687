"""`soberclip export` and `place`: a world for other people's training code, and the place of what
came out.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Group

from experiments.command.options import (
    DEFAULT_WORLD,
    Json,
    Seed,
    Verbose,
    Whole,
    WorldOptions,
    flag,
    target,
)
from experiments.command.output import MANY, emit
from experiments.heads.tables import relies, spanned
from experiments.table import (
    CORRELATION,
    COUNT,
    NUMBER,
    PERCENT,
    POINTS,
    Column,
    Table,
    interval,
    percent,
    points,
)
from simulator.accuracy import GROUPS
from simulator.progress import say
from simulator.prompts import asked

ROUNDED = 0.0005  # less is printed as 0.0 points


def export(
    *,
    n: flag(Whole, "training pairs, in shards of 10,000") = 300_000,
    test_images: flag(
        Whole, "test images per group; p′ is known to about .01 with 20,000"
    ) = 20_000,
    no_theory: flag(
        bool, "leave out p′ and r of every learner and prompt; they take up to a minute"
    ) = False,
    seed: Seed = 0,
    output: target(Path, "new folder, or one with a started export of the same request"),
    world: WorldOptions = DEFAULT_WORLD,
    json: Json = False,
) -> None:
    from experiments.ground_truth.export import check_request, export, size_of
    from experiments.lab.config import world_from

    settings = world_from(world.file, world.fields)
    check_request(settings, n, seed, test_images)
    say(f"{n:,} pairs and their test images take {size_of(settings, n, test_images) / 1e9:.2g} GB")
    document = export(settings, output, n, seed, test_images, theory=not no_theory)
    emit({**document, "output": str(output)}, json, export_screen)


def place(
    predictions: flag(
        Path, "CSV file: file,prediction with --data; group,accuracy,count with --world"
    ),
    /,
    *,
    data: flag(Path | None, "folder that soberclip export wrote") = None,
    world: WorldOptions = DEFAULT_WORLD,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    from experiments.ground_truth.place import place
    from experiments.ground_truth.truth import theory_rows
    from experiments.lab.config import world_from

    position = place(
        predictions, data, None if world == DEFAULT_WORLD else world_from(world.file, world.fields)
    )
    document = position.as_json()
    if data is None:  # with ten classes the theory takes a minute
        document["theory"] = theory_rows(position.world) if verbose or json else []
    emit(document, json, partial(place_screen, verbose=verbose))


def export_screen(document: dict[str, Any]) -> Group:
    """What theory says of the exported pictures; README.txt has the rest."""
    size = f"{document['files']} archives, {document['bytes'] / 1e9:.2g} GB"
    return Group(
        f"{document['output']}: {size}; README.txt says more", truth_table(document["theory"])
    )


NO_THEORY = (
    "The theory is missing, since the folder was exported with --no-theory; export without it adds"
    " the theory."
)


def _prompt(row: dict[str, Any]) -> str:
    from experiments.ground_truth.truth import OBJECT_ONLY  # start-up time

    return (
        "typical appearance, no background"
        if row["prompt"] == OBJECT_ONLY
        else asked(row["prompt"])
    )


def _equivalent(row: dict[str, Any]) -> str | None:
    p = row["equivalent_correlation"]
    return None if p is None else spanned(CORRELATION.shown, p, row.get("interval95"))


MEASURED = (
    Column("group", "group"),
    Column("images", "images", COUNT),
    Column("measured", "accuracy", PERCENT),
    Column("95% interval", lambda row: interval(row["interval95"]), NUMBER),
)
THEORY = (
    Column("learner", "learner"),
    Column("prompt", _prompt),
    *(Column(group, group, PERCENT) for group in GROUPS),
    Column("p′", _equivalent, NUMBER),
    Column("short", "shortfall", POINTS),
)


def place_screen(document: dict[str, Any], verbose: bool) -> Group:
    """The answer in a sentence and some lines; the groups and the theory with `verbose`."""
    lead, *lines = _remarks(document)
    if verbose:
        return Group(
            lead, *lines, Table(None, MEASURED, document["groups"]), truth_table(document["theory"])
        )
    groups = (
        f"{one['group']} {percent(one['accuracy'])} % of {one['images']:,}"
        for one in document["groups"]
    )
    more = (
        NO_THEORY
        if document["theory"] is None
        else "--verbose prints the theory of every learner and prompt"
    )
    return Group(lead, f"right on {', '.join(groups)}", *lines, more)


def truth_table(rows: list[dict[str, Any]] | None) -> Table | str:
    """The columns that have a number, or that there is no theory."""
    if rows is None:
        return NO_THEORY
    return Table(
        "theory, infinitely many pairs",
        [one for one in THEORY if any(map(one.cell, rows))],
        rows,
        keys=2,
    )


def _remarks(document: dict[str, Any]) -> Iterator[str]:
    """The answer in a sentence, and p' and r with their intervals."""
    p, ends = document["equivalent_correlation"], document["interval95"]
    if p is None:
        if len(document["groups"]) == 1:
            why = f"all images are {document['groups'][0]['group']}, so there is no drop"
        elif (fit := ends["equivalent_correlation"]) is None:
            why = MANY
        else:
            why = f"any p from {fit[0]:.3f} to {fit[1]:.3f} fits equally"
        yield f"p′ is not determined: {why}"
    else:
        if document["beyond"]:
            side = "larger" if p else "smaller"
            yield (
                f"the drop is {side} than that of every ideal classifier, and p′ = {p:g} stands for"
                " all of these"
            )
        else:
            yield relies("This classifier", p, ends["equivalent_correlation"], "images")
        away = f"p = {document['correlation']:.3f}, p′ − p = {document['difference']:+z.3f}"
        yield f"p′ = {p:.3f}, {_ends(ends['equivalent_correlation'], '{:z.3f}'.format)}; {away}"
    yield _shortfall(document["shortfall"], ends["shortfall"])
    yield (
        "The intervals hold the error of finitely many test images, not that of training or between"
        " seeds."
    )


def _shortfall(r: float, ends: list[float] | None) -> str:
    """r in words; a negative one contradicts the world, by chance or not."""
    if r > -ROUNDED:
        return f"{points(r)} points short of the ideal classifier, {_ends(ends, points)}"
    above = (
        f"Each accuracy lies {points(-r)} points above the best that this world allows at this drop"
    )
    if ends is None or ends[1] >= 0:
        return f"{above}, which can be chance with so few images"
    return f"{above} ({_ends([-ends[1], -ends[0]], points)}), so the images are not of this world"


def _ends(pair: list[float] | None, show: Callable[[float], str]) -> str:
    return "no interval" if pair is None else f"95% interval {' to '.join(map(show, pair))}"
