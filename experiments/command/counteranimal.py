"""`soberclip counteranimal VERB`: real models on real photos, and the paper's tables on trial.

Functions import what they need when they run, for start-up time.
"""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from cyclopts import Group as Panel
from rich.console import Group
from rich.text import Text

from experiments.command.options import Json, Seed, Verbose, Whole, flag, flags_of, own_folder
from experiments.command.output import VERDICT_STYLES, dim, emit, warning
from experiments.errors import RequestError
from experiments.files import check_writable
from experiments.heads.tables import accuracies, answer
from experiments.photos.options import Options
from experiments.photos.tables import comparison_table, has_sign_test, lead, marks, over_photos, pairs_table
from experiments.results import FEWEST, GROUPS, QUANTITIES, too_few
from experiments.table import NUMBER, PERCENT, Column, Table, Unit, interval, percent, points
from simulator.progress import say

# main.py has its help text.
app = App(name="counteranimal", help_format="plaintext")

Data = flag(Path, "photos: the folder of the class folders, or a CSV file (path, class, group or background)")
Groups = flag(
    str,
    "the group of each background: prefix (from the folders or the column group), a CSV file (background, "
    "group, optionally class), or each (no groups, every background by itself)",
)
Classes = flag(Path | None, Options.model_fields["classes"].description)
Folder = own_folder("", (), "folder for the full result, created if necessary")
Labels = Literal["1000", "20", "45", "own"]
Model = flag(
    list[str],
    "open_clip:NAME[/TAG], torchvision:NAME[/WEIGHTS], timm:NAME[.TAG], hf:FOLDER or hf:ORG/NAME "
    "(CLIP, SigLIP and similar models of transformers), lvlm:FOLDER or lvlm:ORG/NAME (LLaVA, Qwen-VL and similar "
    "ones), python:FILE.py (your own model()), or published:MODEL for the checkpoint of a row of "
    "the paper's Table 3; may be repeated",
)
Weights = flag(list[Path], "weights file of each --model in turn, - for a model without one", allow_leading_hyphen=True)


# The options of every verb that runs a model.
Scoring = Annotated[flags_of(Options, Panel.create_default_parameters()), Parameter(name="*")] | None


@app.command
def inspect(
    data: Data, /, *, groups: Groups = "prefix", classes: Classes = None, output: Folder = None, json: Json = False
) -> None:
    """Parse a data set: classes, groups and backgrounds with their counts, unreadable photos, strays.

    Example: soberclip counteranimal inspect LAION-final
    """
    from experiments.photos.photos import inspect as run

    document = run(data, output, groups, _vocabulary(classes))
    emit(document, json, inspection_table)
    if document["counteranimal"] and (document["n_common"], document["n_counter"]) != (
        document["published_n_common"],
        document["published_n_counter"],
    ):
        say("counts differ from the published ones, which contradict each other; results state your counts")


def _vocabulary(classes: Path | None) -> Any:
    """The user's own classes; None for ImageNet's."""
    from experiments.photos.labels import own_vocabulary

    return None if classes is None else own_vocabulary(classes)


def _check_photos(data: Path) -> None:
    if not data.exists():  # nobody has to install an extra to learn this
        raise RequestError(f"there is no folder {str(data)!r}")


@app.command
def evaluate(
    *,
    data: Data,
    model: Model,
    weights: Weights | None = None,
    groups: Groups = "prefix",
    labels: flag(
        Labels | None,
        "labels that compete: all 1000 of ImageNet, 20 confusing ones per class, 45 for the classes of the "
        "data (CounterAnimal has 45), own (all in --classes) [default: 1000, or own]",
    ) = None,
    reference: flag(str | None, "with --labels 20: model whose confusions make the sets [default: the paper's]") = None,
    scoring: Scoring = None,
    embeddings: flag(
        Path | None, "also write image and prompt embeddings of one CLIP, for soberclip embeddings (.npz)"
    ) = None,
    seed: Seed = 0,
    output: flag(Path, "folder for predictions, class accuracies and summary") = Path("soberclip-counteranimal"),
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Score models on the photos, one after another. Features are cached: no photo passes a model twice.

    experiments/counteranimal/README.md has a python:FILE.py of twenty lines for a model of your own.

    It also has ten lines that write the .npz of soberclip embeddings from a PyTorch model and a DataLoader.

    Example: soberclip counteranimal evaluate --data LAION-final --model open_clip:ViT-B-32/openai
    """
    from experiments.photos.evaluation import run

    _check_photos(data)
    what = {"data": data, "groups": groups, "labels": labels, "reference": reference, "embeddings": embeddings}
    options = Options(**(scoring or {}))
    documents = run(models=model, weights=weights, options=options, **what, seed=seed, output=output, note=say)
    emit(documents, json, partial(summary_table, verbose=verbose))


@app.command
def score(
    *predictions: flag(Path, "CSV with columns class_index, group, predicted_index"),
    name: flag(str | None, "name of the model [default: the file's]") = None,
    family: flag(str | None, "models that share a line: CLIP, ImageNet, LVLM, ... [default: the model alone]") = None,
    labels: flag(Labels, "label space of the predictions") = "1000",
    classes: Classes = None,
    seed: Seed = 0,
    output: Folder = None,
    json: Json = False,
) -> None:
    """Metrics and intervals for predictions made elsewhere.

    Example: soberclip counteranimal score answers.csv --name LLaVA --labels 20
    """
    from experiments.photos.summaries import score_files

    space = {"labels": labels, "classes": _vocabulary(classes)}
    documents = score_files(predictions, name=name, family=family, seed=seed, output=output, **space)
    emit(documents, json, partial(summary_table, verbose=True))


@app.command
def published(*, output: Folder = None, json: Json = False) -> None:
    """The paper's tables: verdicts on claims. Files and JSON have the inconsistencies and every figure, too.

    Example: soberclip counteranimal published
    """
    from experiments.published.document import published_document, write_published

    document = published_document()
    if output is not None:
        write_published(output, document)
    emit(document, json, published_screen)


@app.command
def compare(
    *results: flag(str, "folders that evaluate or score wrote, published, published:MODEL"),
    mean: flag(Literal["macro", "micro"], "mean over classes (the paper's tables) or over photos") = "macro",
    labels: flag(Labels, "label space of the published rows") = "1000",
    prompts: flag(Literal["simple", "openai80"], "prompts of the published rows") = "simple",
    reference: flag(str | None, "family of the line that robustness refers to [default: ImageNet]") = None,
    seed: Seed = 0,
    output: flag(Path, "folder for comparison.html, .svg, .pdf, .png, .csv and .json") = Path("soberclip-comparison"),
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Your results and published rows in one plot, with effective robustness and paired classes.

    Example: soberclip counteranimal compare published my-results
    """
    from experiments.photos.figures import write_comparison
    from experiments.photos.robustness import compare as run
    from experiments.photos.robustness import gather

    compared = gather(results, mean, labels, prompts)
    check_writable(output)
    document = run(compared, reference, seed)
    figure = write_comparison(output, compared, document, seed)
    emit(document, json, partial(comparison_screen, verbose=verbose))
    say(f"figure: {figure}")


@app.command
def discover(
    *,
    data: Data,
    model: flag(str, "the model whose accuracies select the backgrounds"),
    weights: flag(Path | None, "its weights file") = None,
    min_photos: flag(Whole, "least number of photos of a background") = 20,
    scoring: Scoring = None,
    seed: Seed = 0,
    output: flag(Path, "folder for discovered.csv, .json and -groups.csv") = Path("soberclip-discovered"),
    json: Json = False,
) -> None:
    """Build a CounterAnimal of your own photos, with the drop before and after correction for selection.

    Other models are evaluated with --groups discovered-groups.csv.

    Example: soberclip counteranimal discover --data photos --model torchvision:resnet50
    """
    from experiments.photos.discovery import run

    _check_photos(data)
    options = Options(**(scoring or {}))
    document = run(
        data=data, model=model, weights=weights, options=options, min_photos=min_photos, seed=seed, output=output
    )
    emit(document, json, discovery_table)


@app.command
def compose(
    *,
    objects: flag(Path, "folder class/cut-out.png, PNGs with transparency"),
    backgrounds: flag(Path, "folder background/photo, or of photos that are each a background"),
    common: flag(
        list[str], "CLASS=BACKGROUND: a common background of a class, the others are counter; one or more per class"
    ),
    size: flag(Whole, "pixels per side") = 224,
    seed: Seed = 0,
    output: flag(Path, "folder for the photos and composites.csv; evaluate reads it") = Path("soberclip-composites"),
    json: Json = False,
) -> None:
    """Put every object on every background, at one scale and place, so that only the background differs.

    Example: soberclip counteranimal compose --objects animals --backgrounds scenes --common ostrich=desert
    """
    from experiments.photos.compose import run

    document = run(objects=objects, backgrounds=backgrounds, common=common, size=size, seed=seed, output=output)
    emit(document, json, composition_table)


Document = dict[str, Any]
SMALL = Unit("{:.2g}".format)  # probabilities
ACCURACIES = tuple(Column(name, name, PERCENT) for name in QUANTITIES)


def _counted(counts: Document) -> str:
    photos = "{common} common and {counter} counter photos" if "common" in counts else "{photos} photos without groups"
    classes = "1 class" if counts["classes"] == 1 else f"{counts['classes']} classes"
    return f"{classes}, {photos.format(**counts)}"


def _folder(entry: Document) -> str:
    folder, index = entry["folder"], str(entry["class_index"])
    return folder if folder.split(" ")[0] == index else f"{folder} ({index})"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name or 'unnamed'} {n}" for name, n in counts.items())


def inspection_table(document: Document) -> Group:
    """Counts, for CounterAnimal's classes beside the published ones, then unreadable photos and strays."""
    has_published = any(c["published_common"] is not None for c in document["classes"])

    def photos(group: str, c: Document) -> Any:
        number, printed = (c[f"n_{group}"], c[f"published_{group}"]) if group else (c["n"], None)
        words = f"{number}" if printed is None else f"{number} ({printed})"
        return words if printed in (None, number) else warning(words)

    columns = [Column("class", _folder)]
    for group in GROUPS if document["grouped"] else ("",):
        words = f"{group or 'photos'}{' (published)' if has_published else ''}"
        columns.append(Column(words, partial(photos, group), NUMBER))
        columns.append(Column("backgrounds", lambda c, group=group: _listed(c["backgrounds"][group])))
    counts = {"classes": document["n_classes"], "photos": document["n"]}
    if document["grouped"]:
        counts |= {group: document[f"n_{group}"] for group in GROUPS}
    published = " (published: 45, {published_n_common}, {published_n_counter})" if has_published else ""
    return Group(
        Table(document["root"], columns, document["classes"]),
        _counted(counts) + published.format(**document),
        *(warning(f"unreadable photo: {bad['path']} ({bad['reason']})") for bad in document["unreadable"]),
        *(warning(f"empty group: {e['group']} of class {e['class_index']}") for e in document["empty_groups"]),
        *(dim(f"stray: {path}") for path in document["strays"]),
    )


def summary_table(documents: list[Document], verbose: bool) -> Group:
    """The answer for each model with its accuracies; all means, classes and groups with `verbose`."""
    parts = [part for document in documents for part in _summary(document, verbose)]
    if len(documents) > 1 and all("drop" in document["macro"] for document in documents):
        ordered = sorted(documents, key=lambda d: -d["macro"]["counter"])
        rows = [{"model": document["model"], **document["macro"]} for document in ordered]
        parts.append(Table("macro, in order of counter accuracy", (Column("model", "model"), *ACCURACIES), rows))
    more = () if verbose else ("--verbose prints the other means, the classes and the groups",)
    return Group(*parts, *more)


def _summary(document: Document, verbose: bool) -> list[Any]:
    counts, macro = document["counts"], document["macro"]
    head = document.get("equivalent")
    lead = (
        f"{document['model']} has no p′: {document['equivalent_lacks']}"
        if head is None
        else answer(document["model"], head)
    )

    def class_words(index: int) -> str:
        folder = document.get("folders", {}).get(str(index))
        return str(index) if folder is None else _folder({"folder": folder, "class_index": index})

    rows: list[Document] = []
    for mean, words in (("macro", "classes (macro)"), ("micro", "photos (micro)")):
        ends, values = document["intervals"][mean], document[mean].items()
        rows.append({"mean": words} | {name: f"{percent(value)} ({interval(ends[name])})" for name, value in values})
    if document["top5"]:
        rows.append({"mean": "classes (top 5)", **document["top5"]["macro"]})
    level = f" % ({document['level']:.0%})"
    columns = (Column("mean over", "mean"), *(Column(f"{name}{level}", name, Unit(percent)) for name in macro))
    left_out = (class_words(index) for index in counts.get("left_out_classes", ()))
    short = f"{accuracies(macro, document['intervals']['macro'])}; means over classes"
    parts: list[Any] = [lead, Table(document["model"], columns, rows) if verbose else short, _counted(counts)]
    if counts["classes"] < FEWEST:
        parts.append(f"intervals over photos: {too_few(counts['classes'])}")
    if "question" in document:
        parts.append(f"question {document['question']!r}: labels scored by {document['score']}")
    parts += [warning(f"class {name} has an empty group and is left out of all means") for name in left_out]
    if document.get("skipped"):
        parts.append(warning(f"{len(document['skipped'])} unreadable photos were left out"))
    if document.get("unanswered"):
        parts.append(warning(f"{document['unanswered']} photos have no finite score and count as wrong"))
    if document.get("paired"):
        parts += _object_effect(document["paired"], verbose)
    if head is not None:
        parts.append(_equivalent(head, macro.get("drop")))
    if "picture" in document:
        parts.append(f"photos that decide: {document['picture']}")
    if "worst_classes" in document and verbose:
        drops = (f"{class_words(c['class_index'])} {percent(c['drop'])}" for c in document["worst_classes"])
        parts.append(f"largest drops by class: {', '.join(drops)}")
    for kind in ("class", "group") if verbose else ("group",):
        cell = document[f"worst_{kind}"]
        part = (cell[name] for name in ("group", "background") if name in cell)
        where = ", ".join([f"class {class_words(cell['class_index'])}", *part])
        accuracy = f"{percent(cell['accuracy'])} % of {cell['photos']} photos"
        least = f"the lowest true accuracy lies in {interval(cell['interval'])} %"
        parts.append(f"worst {kind} of {cell['of']}: {where}, {accuracy}; {least}")
    return parts


def _equivalent(head: Document, drop: float | None) -> str:
    """r of a model's own head, whose p' is the answer, and its drop where the photos' own classes give another."""
    short = f"r {points(head['shortfall'])} ({interval(head['interval']['shortfall'])}) points short of the best heads"
    own = f"; among the photos' own classes, where the drop is {points(head['drop'])}"
    return f"{short} on its embeddings" + own * (drop is None or points(drop) != points(head["drop"]))


def _object_effect(effect: Document, verbose: bool) -> list[Any]:
    """The effect of the background at a fixed object, over all, and by class with `verbose`."""
    title = "the background's effect at a fixed object, means over objects"
    left_out = effect["left_out_objects"]
    lost = [warning(f"{left_out} objects have readable photos in one group only and are left out")] if left_out else []
    if not verbose:
        return [f"{title}: {percent(effect['difference'])} points ({interval(effect['interval'])})", *lost]
    columns = (
        Column("class", "class_index"),
        Column("objects", "objects", NUMBER),
        *ACCURACIES[:2],
        Column("difference", lambda one: f"{percent(one['difference'])}\n{interval(one['interval'])}", NUMBER),
        Column("better on", lambda one: f"{one['better_on_common']}:{one['better_on_counter']}", NUMBER),
        Column("p", "mcnemar_p", SMALL),
        Column("p (Holm)", "p_holm", SMALL),
    )
    every = {**effect, "class_index": "all", "p_holm": None}
    return [
        Table(title, columns, [*effect["classes"], every]),
        f"difference in points, with {effect['level']:.0%} interval",
        "better on: objects with the higher accuracy on common : on counter backgrounds",
        "interval: over objects; p: McNemar's exact test of no effect on any object",
        "both hold for these background photos only; a few difficult photos can make p small",
        *lost,
    ]


def published_screen(document: Document) -> Group:
    """Verdicts on the claims; `check` prints their statistics, and the files have the inconsistencies."""
    verdicts = Counter(c["verdict"] for c in document["claims"])
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    answer = (
        f"Of {verdicts.total()} claims of the paper, judged from its tables: {counts}. Its {len(document['table'])} "
        f"printed figures have {len(document['audit'])} inconsistencies."
    )
    lines = (
        Text.assemble((c["verdict"], VERDICT_STYLES[c["verdict"]]), f": {c['statement']}") for c in document["claims"]
    )
    return Group(answer, *lines, "--output writes statistics, inconsistencies and all figures")


MOST_LINES = 6  # models on the short screen of a comparison


def _in_short(row: Document) -> str:
    ends = {name: row[f"interval_{name}"] for name in ("counter", "drop")}
    return f"{row['model']}: {accuracies({name: row[name] for name in ends}, ends)}"


def comparison_screen(document: Document, verbose: bool) -> Group:
    """The order by p'; with `verbose` all models, their effective robustness on logit axes, and pairs.

    The other axes are in the files.
    """
    reference, pairs, first = document["reference"], document["pairs"], lead(document)
    lacks = document["equivalent_lacks"]
    lacks = f"p′ is unknown for some: {lacks}" if lacks and lacks not in first else None
    if not verbose:
        rows = sorted(document["rows"], key=lambda row: (row["equivalent"] is None, row["number"]))
        return Group(
            first,
            *map(_in_short, rows[:MOST_LINES]),
            *[f"and {len(rows) - MOST_LINES} more models"] * (len(rows) > MOST_LINES),
            *[lacks] * bool(lacks),
            "--verbose prints all models, effective robustness and pairs, as the page does",
        )
    over = "photos" if pairs and pairs[0]["mean"] == "micro" else "classes"
    unpaired = ", ".join(document["unpaired"])
    parts = (
        first,
        comparison_table(document),
        "small print: 95% intervals",
        over_photos(document),
        "over the line: counter accuracy in points; the interval holds line and model" if reference else None,
        f"a model of {reference} is measured from the line of the others" if reference else None,
        *(f"{mark} {meaning}" for mark, meaning in marks(document).items()),
        lacks,
        *((f"second minus first in points, means over {over}", pairs_table(document, "drop")) if pairs else ()),
        "up:down: numbers of classes; p: exact sign test of them" if has_sign_test(document) else None,
        warning(f"pairs not shown, for brevity: {unpaired}") if unpaired else None,
    )
    return Group(*filter(None, parts))


def composition_table(document: Document) -> Group:
    columns = (
        Column("class", _folder),
        Column("cut-outs", "objects"),
        *(Column(f"{group} (photos)", lambda c, group=group: _listed(c[group])) for group in GROUPS),
    )
    return Group(
        Table(document["output"], columns, document["classes"]),
        "{composites} composites of {settings[size]} pixels".format(**document),
        *(dim(f"stray: {path}") for path in document["strays"]),
    )


def discovery_table(document: Document) -> Group:
    def background(group: str) -> Column:
        words = f"{{{group}_background}} {{accuracy}} ({{n_{group}}})"
        return Column(group, lambda c: words.format(**c, accuracy=percent(c[group])))

    columns = (
        Column("class", "class_index"),
        Column("folder", "folder"),
        *map(background, GROUPS),
        *(Column(f"{kind} drop", f"{kind}_drop", PERCENT) for kind in ("naive", "honest")),
        *(Column(words, key, SMALL) for words, key in (("p", "p_value"), ("p (Holm)", "p_holm"), ("p (BH)", "p_bh"))),
    )
    left_out, classes = len(document["left_out"]), document["classes"]
    effects = f"{document['background_effects']} of {len(classes)} classes show an effect of the background (Holm's p "
    least = f"{document['permutations']} permutations allow p = {document['least_p_holm']:.2g} at best"
    left = f"{left_out} classes without two backgrounds of {document['min_photos']} photos were left out"
    drops = ((kind, document[kind]) for kind in ("naive", "honest"))
    return Group(
        Table(None, columns, classes, keys=2),
        *(f"{kind} drop: {percent(one['drop'])} ({interval(one['interval'])})" for kind, one in drops),
        f"{effects}below .05); {least}",
        *([warning(left)] if left_out else []),
    )
