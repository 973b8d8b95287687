"""`soberclip counteranimal VERB`: real models on real photos, and the paper's tables on trial."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from cyclopts import Group as Panel
from rich.console import group as screen
from rich.text import Text

from experiments.command.options import (
    Json,
    Seed,
    Verbose,
    Whole,
    flag,
    flags_of,
    own_folder,
    target,
)
from experiments.command.output import VERDICT_STYLES, dim, emit, warning
from experiments.errors import RequestError
from experiments.files import check_writable
from experiments.heads.tables import accuracies, answer
from experiments.photos.labels import own_vocabulary
from experiments.photos.options import Options
from experiments.photos.tables import (
    comparison_table,
    has_sign_test,
    lead,
    marks,
    over_photos,
    pairs_table,
)
from experiments.results import FEWEST, GROUPS, too_few
from experiments.table import NUMBER, PERCENT, Column, Table, Unit, interval, percent, points
from simulator.progress import say

Data = flag(
    Path,
    "photos: the folder of the class folders, or a CSV file (path, class, group or background)",
)
Groups = flag(
    str,
    "the group of each background: prefix (from the folders or the column group), a CSV file"
    " (background, group, optionally class), or each (no groups, every background by itself)",
)
Classes = flag(Path | None, Options.model_fields["classes"].description)
Folder = own_folder("", (), "folder for the full result, created if necessary")
Labels = Literal["1000", "20", "45", "own"]
Model = flag(
    list[str],
    "open_clip:NAME[/TAG], torchvision:NAME[/WEIGHTS], timm:NAME[.TAG], hf:FOLDER or lvlm:FOLDER or"
    " their ORG/NAME (CLIP and the like, or LLaVA and the like, of transformers), python:FILE.py"
    " (your own model()), or published:MODEL for a checkpoint of the paper's Table 3; may be"
    " repeated",
)
Weights = flag(
    list[Path],
    "weights file of each --model in turn, - for a model without one",
    allow_leading_hyphen=True,
)


# The options of every verb that runs a model.
Scoring = flags_of(Options, Panel.create_default_parameters()) | None


def inspect(
    data: Data,
    /,
    *,
    groups: Groups = "prefix",
    classes: Classes = None,
    output: Folder = None,
    json: Json = False,
) -> None:
    from experiments.photos.photos import inspect as run

    emit(run(data, output, groups, classes and own_vocabulary(classes)), json, inspection_table)


def _check_photos(data: Path) -> None:
    # nobody has to import models' libraries, or to install them, to learn this
    if not data.exists():
        raise RequestError(f"there is no folder {str(data)!r}")


def evaluate(
    *,
    data: Data,
    model: Model,
    weights: Weights | None = None,
    groups: Groups = "prefix",
    labels: flag(
        Labels | None,
        "labels that compete: all 1000 of ImageNet, 20 confusing ones per class, 45 for the classes"
        " of the "
        "data (CounterAnimal has 45), own (all in --classes) [default: 1000, or own]",
    ) = None,
    reference: flag(
        str | None, "with --labels 20: model whose confusions make the sets [default: the paper's]"
    ) = None,
    scoring: Scoring = None,
    embeddings: flag(
        Path | None, "also write the .npz of one CLIP for soberclip embeddings"
    ) = None,
    seed: Seed = 0,
    output: target(Path, "folder for predictions, class accuracies and summary") = Path(
        "soberclip-counteranimal"
    ),
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    _check_photos(data)
    from experiments.photos.evaluation import run

    what = {
        "data": data,
        "groups": groups,
        "labels": labels,
        "reference": reference,
        "embeddings": embeddings,
    }
    options = Options(**(scoring or {}))
    documents = run(
        models=model, weights=weights, options=options, **what, seed=seed, output=output, note=say
    )
    emit(documents, json, partial(summary_table, verbose=verbose))


def score(
    *predictions: flag(Path, "CSV with columns class_index, group, predicted_index"),
    name: flag(str | None, "name of the model [default: the file's]") = None,
    family: flag(
        str | None, "models that share a line: CLIP, ImageNet, LVLM, ... [default: the model alone]"
    ) = None,
    labels: flag(Labels, "label space of the predictions") = "1000",
    classes: Classes = None,
    seed: Seed = 0,
    output: Folder = None,
    json: Json = False,
) -> None:
    from experiments.photos.summaries import score_files

    space = {"labels": labels, "classes": classes and own_vocabulary(classes)}
    documents = score_files(
        predictions, name=name, family=family, seed=seed, output=output, **space
    )
    emit(documents, json, partial(summary_table, verbose=True))


def published(*, output: Folder = None, json: Json = False) -> None:
    from experiments.published.document import published_document, write_published

    document = published_document()
    if output is not None:
        write_published(output, document)
    emit(document, json, published_screen)


def compare(
    *results: flag(str, "folders that evaluate or score wrote, published, published:MODEL"),
    mean: flag(
        Literal["macro", "micro"], "mean over classes (the paper's tables) or over photos"
    ) = "macro",
    labels: flag(Labels, "label space of the published rows") = "1000",
    prompts: flag(Literal["simple", "openai80"], "prompts of the published rows") = "simple",
    reference: flag(
        str | None, "family of the line that robustness refers to [default: ImageNet]"
    ) = None,
    seed: Seed = 0,
    output: target(Path, "folder for comparison.html, .svg, .pdf, .png, .csv and .json") = Path(
        "soberclip-comparison"
    ),
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    from experiments.photos.figures import write_comparison
    from experiments.photos.robustness import compare as run
    from experiments.photos.robustness import gather

    compared = gather(results, mean, labels, prompts)
    check_writable(output)
    document = run(compared, reference, seed)
    figure = write_comparison(output, document, seed)
    emit(document, json, partial(comparison_screen, verbose=verbose))
    say(f"figure: {figure}")


def discover(
    *,
    data: Data,
    model: flag(str, "the model whose accuracies select the backgrounds"),
    weights: flag(Path | None, "its weights file") = None,
    min_photos: flag(Whole, "least number of photos of a background") = 20,
    scoring: Scoring = None,
    seed: Seed = 0,
    output: target(Path, "folder for discovered.csv, .json and -groups.csv") = Path(
        "soberclip-discovered"
    ),
    json: Json = False,
) -> None:
    _check_photos(data)
    from experiments.photos.discovery import run

    how = {"options": Options(**(scoring or {})), "min_photos": min_photos, "seed": seed}
    emit(run(data=data, model=model, weights=weights, output=output, **how), json, discovery_table)


def compose(
    *,
    objects: flag(Path, "folder class/cut-out.png, PNGs with transparency"),
    backgrounds: flag(Path, "folder background/photo, or of photos that are each a background"),
    common: flag(
        list[str], "CLASS=BACKGROUND: a background common for a class, not counter; may be repeated"
    ),
    size: flag(Whole, "pixels per side") = 224,
    seed: Seed = 0,
    output: target(Path, "folder for the photos and composites.csv; evaluate reads it") = Path(
        "soberclip-composites"
    ),
    json: Json = False,
) -> None:
    from experiments.photos.compose import run

    document = run(
        objects=objects, backgrounds=backgrounds, common=common, size=size, seed=seed, output=output
    )
    emit(document, json, composition_table)


Document = dict[str, Any]
SMALL = Unit("{:.2g}".format)  # probabilities


def _counted(counts: Document) -> str:
    photos = (
        "{common} common and {counter} counter photos"
        if "common" in counts
        else "{photos} photos without groups"
    )
    classes = "1 class" if counts["classes"] == 1 else f"{counts['classes']} classes"
    return f"{classes}, {photos.format(**counts)}"


def _folder(entry: Document) -> str:
    folder = entry["folder"]
    index = str(entry["class_index"])
    return folder if folder.split(" ")[0] == index else f"{folder} ({index})"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name or 'unnamed'} {n}" for name, n in counts.items())


@screen()
def inspection_table(document: Document) -> Iterator[Any]:
    """Counts, for CounterAnimal's classes beside the published ones, then unreadable photos and
    strays.
    """
    beside = " (published)" * document["counteranimal"]
    columns = [Column("class", _folder)]
    counts = {"classes": document["n_classes"], "photos": document["n"]}

    def photos(group: str, c: Document) -> Any:
        number = c[f"n_{group}"]
        printed = c[f"published_{group}"]
        words = f"{number}" if printed is None else f"{number} ({printed})"
        return words if printed in (None, number) else warning(words)

    for group in GROUPS if document["grouped"] else ():
        columns.append(Column(f"{group}{beside}", partial(photos, group), NUMBER))
        columns.append(
            Column("backgrounds", lambda c, group=group: _listed(c["backgrounds"][group]))
        )
        counts[group] = document[f"n_{group}"]
    if not document["grouped"]:
        columns += [
            Column("photos", "n", NUMBER),
            Column("backgrounds", lambda c: _listed(c["backgrounds"][""])),
        ]
    yield Table(document["root"], columns, document["classes"])
    published = " (published: 45, {published_n_common}, {published_n_counter})" if beside else ""
    yield _counted(counts) + published.format(**document)
    for bad in document["unreadable"]:
        yield warning(f"unreadable photo: {bad['path']} ({bad['reason']})")
    for empty in document["empty_groups"]:
        yield warning(f"empty group: {empty['group']} of class {empty['class_index']}")
    for path in document["strays"]:
        yield dim(f"stray: {path}")


@screen()
def summary_table(documents: list[Document], verbose: bool) -> Iterator[Any]:
    """The answer for each model with its accuracies; all means, classes and groups with
    `verbose`.
    """
    for document in documents:
        yield from _summary(document, verbose)
    if not verbose:
        yield "--verbose prints the other means, the classes and the groups"


def _summary(document: Document, verbose: bool) -> Iterator[Any]:
    model = document.get("model")
    counts = document.get("counts")
    macro = document.get("macro")
    head = document.get("equivalent")

    def class_words(index: int) -> str:
        folder = document.get("folders", {}).get(str(index))
        return str(index) if folder is None else _folder({"folder": folder, "class_index": index})

    yield (
        f"{model} has no p′: {document['equivalent_lacks']}"
        if head is None
        else answer(model, head)
    )
    short = f"{accuracies(macro, document['intervals']['macro'])}; means over classes"
    yield _means(document) if verbose else short
    yield _counted(counts)
    if counts["classes"] < FEWEST:
        yield f"intervals over photos: {too_few(counts['classes'])}"
    if "question" in document:
        yield f"question {document['question']!r}: labels scored by {document['score']}"
    for index in counts.get("left_out_classes", ()):
        yield warning(f"class {class_words(index)} has an empty group and is left out of all means")
    if document.get("skipped"):
        yield warning(f"{len(document['skipped'])} unreadable photos were left out")
    if document.get("unanswered"):
        yield warning(f"{document['unanswered']} photos have no finite score and count as wrong")
    if document.get("paired"):
        yield from _object_effect(document["paired"], verbose)
    if head is not None:
        lack = (
            f"r {points(head['shortfall'])} ({interval(head['interval']['shortfall'])}) points"
            " short of the best"
        )
        own = f"; among the photos' own classes, where the drop is {points(head['drop'])}"
        same = macro.get("drop") is not None and points(macro["drop"]) == points(head["drop"])
        yield f"{lack} heads on its embeddings" + own * (not same)
    if "picture" in document:
        yield f"photos that decide: {document['picture']}"
    if "worst_classes" in document and verbose:
        drops = (
            f"{class_words(c['class_index'])} {percent(c['drop'])}"
            for c in document["worst_classes"]
        )
        yield f"largest drops by class: {', '.join(drops)}"
    for kind in ("class", "group") if verbose else ("group",):
        cell = document[f"worst_{kind}"]
        part = (cell[name] for name in ("group", "background") if name in cell)
        where = ", ".join([f"class {class_words(cell['class_index'])}", *part])
        accuracy = f"{percent(cell['accuracy'])} % of {cell['photos']} photos"
        least = f"the lowest true accuracy lies in {interval(cell['interval'])} %"
        yield f"worst {kind} of {cell['of']}: {where}, {accuracy}; {least}"


def _means(document: Document) -> Table:
    """Accuracies with intervals, one row per way to take the mean."""
    rows: list[Document] = []
    for mean, words in (("macro", "classes (macro)"), ("micro", "photos (micro)")):
        ends = document["intervals"][mean]
        values = document[mean].items()
        rows.append(
            {"mean": words}
            | {name: f"{percent(value)} ({interval(ends[name])})" for name, value in values}
        )
    if document["top5"]:
        rows.append({"mean": "classes (top 5)", **document["top5"]["macro"]})
    heads = ((name, f"{name} % ({document['level']:.0%})") for name in document["macro"])
    columns = (
        Column("mean over", "mean"),
        *(Column(words, name, Unit(percent)) for name, words in heads),
    )
    return Table(document["model"], columns, rows)


def _object_effect(effect: Document, verbose: bool) -> Iterator[Any]:
    """The effect of the background at a fixed object, over all, and by class with `verbose`."""
    title = "the background's effect at a fixed object, means over objects"
    if verbose:
        columns = (
            Column("class", "class_index"),
            Column("objects", "objects", NUMBER),
            *(Column(group, group, PERCENT) for group in GROUPS),
            Column(
                "difference",
                lambda one: f"{percent(one['difference'])}\n{interval(one['interval'])}",
                NUMBER,
            ),
            Column(
                "better on",
                lambda one: f"{one['better_on_common']}:{one['better_on_counter']}",
                NUMBER,
            ),
            Column("p", "mcnemar_p", SMALL),
            Column("p (Holm)", "p_holm", SMALL),
        )
        yield Table(
            title, columns, [*effect["classes"], {**effect, "class_index": "all", "p_holm": None}]
        )
        yield f"difference in points, with {effect['level']:.0%} interval"
        yield "better on: objects with the higher accuracy on common : on counter backgrounds"
        yield "interval: over objects; p: McNemar's exact test of no effect on any object"
        yield "both hold for these background photos only; a few difficult photos can make p small"
    else:
        yield f"{title}: {percent(effect['difference'])} points ({interval(effect['interval'])})"
    if left_out := effect["left_out_objects"]:
        yield warning(f"{left_out} objects have readable photos in one group only and are left out")


@screen()
def published_screen(document: Document) -> Iterator[Any]:
    """Verdicts on the claims; `check` prints their statistics, and the files have the
    inconsistencies.
    """
    verdicts = Counter(c["verdict"] for c in document["claims"])
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    figures = (
        f"{len(document['table'])} printed figures have {len(document['audit'])} inconsistencies"
    )
    yield (
        f"Of {verdicts.total()} claims of the paper, judged from its tables: {counts}. Its"
        f" {figures}."
    )
    for c in document["claims"]:
        yield Text.assemble((c["verdict"], VERDICT_STYLES[c["verdict"]]), f": {c['statement']}")
    yield "--output writes statistics, inconsistencies and all figures"


MOST_LINES = 6  # models on the short screen of a comparison


@screen()
def comparison_screen(document: Document, verbose: bool) -> Iterator[Any]:
    """The order by p'; with `verbose` all models, their effective robustness on logit axes, and
    pairs.
    """
    yield (first := lead(document))
    lacks = document["equivalent_lacks"]
    unknown = [f"p′ is unknown for some: {lacks}"] if lacks and lacks not in first else []
    if verbose:
        yield from _compared(document, unknown)
        return
    rows = sorted(document["rows"], key=lambda row: (row["equivalent"] is None, row["number"]))
    for row in rows[:MOST_LINES]:
        ends = {name: row[f"interval_{name}"] for name in ("counter", "drop")}
        yield f"{row['model']}: {accuracies({name: row[name] for name in ends}, ends)}"
    if len(rows) > MOST_LINES:
        yield f"and {len(rows) - MOST_LINES} more models"
    yield from unknown
    yield "--verbose prints all models, effective robustness and pairs, as the page does"


def _compared(document: Document, unknown: list[str]) -> Iterator[Any]:
    """The tables of the page, with their other words; the files have the other axes."""
    yield comparison_table(document)
    yield "small print: 95% intervals"
    if few := over_photos(document):
        yield few
    if reference := document["reference"]:
        yield "over the line: counter accuracy in points; the interval holds line and model"
        yield f"a model of {reference} is measured from the line of the others"
    for mark, meaning in marks(document).items():
        yield f"{mark} {meaning}"
    yield from unknown
    if pairs := document["pairs"]:
        yield (
            "second minus first in points, means over"
            f" {'photos' if pairs[0]['mean'] == 'micro' else 'classes'}"
        )
        yield pairs_table(document, "drop")
    if has_sign_test(document):
        yield "up:down: numbers of classes; p: exact sign test of them"
    if unpaired := ", ".join(document["unpaired"]):
        yield warning(f"pairs not shown, for brevity: {unpaired}")


@screen()
def composition_table(document: Document) -> Iterator[Any]:
    groups = (
        Column(f"{group} (photos)", lambda c, group=group: _listed(c[group])) for group in GROUPS
    )
    columns = (Column("class", _folder), Column("cut-outs", "objects"), *groups)
    yield Table(document["output"], columns, document["classes"])
    yield "{composites} composites of {settings[size]} pixels".format(**document)
    for path in document["strays"]:
        yield dim(f"stray: {path}")


@screen()
def discovery_table(document: Document) -> Iterator[Any]:
    def background(group: str, c: Document) -> str:
        return f"{c[f'{group}_background']} {percent(c[group])} ({c[f'n_{group}']})"

    columns = (
        Column("class", "class_index"),
        Column("folder", "folder"),
        *(Column(group, partial(background, group)) for group in GROUPS),
        *(Column(f"{kind} drop", f"{kind}_drop", PERCENT) for kind in ("naive", "honest")),
        *(
            Column(words, key, SMALL)
            for words, key in (("p", "p_value"), ("p (Holm)", "p_holm"), ("p (BH)", "p_bh"))
        ),
    )
    yield Table(None, columns, document["classes"], keys=2)
    for kind in ("naive", "honest"):
        yield (
            f"{kind} drop: {percent(document[kind]['drop'])}"
            f" ({interval(document[kind]['interval'])})"
        )
    effects = (
        f"{document['background_effects']} of {len(document['classes'])} classes show an effect of"
        " the background"
    )
    least = (
        f"{document['permutations']} permutations allow p = {document['least_p_holm']:.2g} at best"
    )
    yield f"{effects} (Holm's p below .05); {least}"
    if left_out := len(document["left_out"]):
        yield warning(
            f"{left_out} classes without two backgrounds of {document['min_photos']} photos were"
            " left out"
        )
