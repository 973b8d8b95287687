"""`soberclip counteranimal VERB`: real models on real photos, and the paper's tables on trial.

Functions import what they need when they run, for start-up time.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Formatter
from typing import Any, Literal

from cyclopts import App, Parameter
from rich.console import Group
from rich.text import Text

from experiments.command.options import Json, Seed, Whole, flag
from experiments.command.output import VERDICT_STYLES, dim, emit, note, screen, table, warning
from experiments.errors import RequestError
from experiments.files import check_writable
from experiments.table import interval, percent

# main.py has its help text.
app = App(name="counteranimal", help_format="plaintext")

Data = flag(
    Path,
    "photos: the folder of the class folders, a CSV file (path, class, group or background), "
    "tar shards, or a Hugging Face data set saved on disk",
)
Groups = flag(
    str,
    "the group of each background: prefix (from the folders or the column group), a CSV file (background, "
    "group, optionally class), or each (no groups, every background by itself)",
)
Classes = flag(
    Path | None, "your own classes instead of ImageNet's: one class per line, or CSV columns class, name, prompt"
)
Folder = flag(Path | None, "folder for the full result, created if necessary")
Labels = Literal["1000", "20", "45", "own"]
Model = flag(
    list[str],
    "open_clip:NAME[/TAG], torchvision:NAME[/WEIGHTS], timm:NAME[.TAG], hf:FOLDER or hf:ORG/NAME "
    "(CLIP, SigLIP and similar models of transformers), lvlm:FOLDER or lvlm:ORG/NAME (LLaVA, Qwen-VL and similar "
    "ones), python:FILE.py (your own model()), or published:MODEL for the checkpoint of a row of "
    "the paper's Table 3; may be repeated",
)
Weights = flag(list[Path], "weights file of each --model in turn, - for a model without one", allow_leading_hyphen=True)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How a model is loaded and run; options of every verb that runs one."""

    prompts: flag(str, "simple, openai80, or a file with one template per line") = "simple"
    classes: Classes = None
    device: flag(str, "cpu, cuda, cuda:1, mps") = "cpu"
    batch_size: flag(Whole, "photos per forward pass; for an lvlm: labels") = 64
    workers: flag(Whole | None, "decoding processes [default: cores - 1, at most 8]") = None
    precision: flag(Literal["fp32", "bf16", "fp16"], "of the forward pass (autocast)") = "fp32"
    quick_gelu: flag(Literal["auto", "on", "off"], "activation of open_clip's models; auto: that of the tag") = "auto"
    trust_pickle: flag(bool, "run code stored in a weights file") = False
    cache: flag(Path | None, "folder of image features [default: the user's cache folder]") = None


@app.command
def inspect(
    data: Data,
    /,
    *,
    groups: Groups = "prefix",
    classes: Classes = None,
    output: Folder = None,
    json: Json = False,
) -> None:
    """Parse a data set: classes, groups and backgrounds with their counts, unreadable photos, strays.

    Example: soberclip counteranimal inspect LAION-final
    """
    from experiments.counteranimal.labels import own_vocabulary
    from experiments.counteranimal.photos import inspect as run

    check_writable(output)
    document = run(data, output, groups, None if classes is None else own_vocabulary(classes))
    emit(document, json, inspection_table)
    if document["counteranimal"] and (document["n_common"], document["n_counter"]) != (
        document["published_n_common"],
        document["published_n_counter"],
    ):
        note("counts differ from the published ones, which contradict each other; results state your counts")


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
    confusing: flag(Path | None, "with --labels 20: sets saved by an earlier run") = None,
    reference: flag(str | None, "with --labels 20: model whose confusions make the sets [default: the paper's]") = None,
    scoring: Scoring = Scoring(),
    embeddings: flag(
        Path | None, "also write image and prompt embeddings of one CLIP, for soberclip embeddings (.npz)"
    ) = None,
    seed: Seed = 0,
    output: flag(Path, "folder for predictions, class accuracies and summary") = Path("soberclip-counteranimal"),
    json: Json = False,
) -> None:
    """Score models on the photos, one after another. Features are cached: no photo passes a model twice.

    Example: soberclip counteranimal evaluate --data LAION-final --model open_clip:ViT-B-32/openai
    """
    from experiments.counteranimal.evaluation import ModelConfig, run
    from experiments.counteranimal.labels import installed

    if not data.exists():  # nobody has to install an extra to learn this
        raise RequestError(f"there is no folder {str(data)!r}")
    installed("PIL")
    config = ModelConfig(models=model, weights=weights, **asdict(scoring))
    documents = run(
        data=data,
        models=config,
        groups=groups,
        labels=labels,
        confusing=confusing,
        reference=reference,
        embeddings=embeddings,
        seed=seed,
        output=output,
        note=note,
    )
    emit(documents, json, summary_table)


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
    from experiments.counteranimal.labels import own_vocabulary
    from experiments.counteranimal.summaries import score_files

    documents = score_files(
        predictions,
        name=name,
        family=family,
        labels=labels,
        classes=None if classes is None else own_vocabulary(classes),
        seed=seed,
        output=output,
    )
    emit(documents, json, summary_table)


@app.command
def published(*, output: Folder = None, json: Json = False) -> None:
    """The paper's tables: verdicts on claims, and inconsistencies. JSON also has every figure.

    Example: soberclip counteranimal published
    """
    from experiments.published.document import published_document, write_published

    check_writable(output)
    document = published_document()
    if output is not None:
        write_published(output, document)
    emit(document, json, published_table)


@app.command
def compare(
    *results: flag(str, "folders that evaluate or score wrote, published, published:MODEL"),
    mean: flag(Literal["macro", "micro"], "mean over classes (the paper's tables) or over photos") = "macro",
    labels: flag(Labels, "label space of the published rows") = "1000",
    prompts: flag(Literal["simple", "openai80"], "prompts of the published rows") = "simple",
    reference: flag(str | None, "family of the line that robustness refers to [default: ImageNet]") = None,
    seed: Seed = 0,
    output: flag(Path, "folder for comparison.html, .svg, .pdf, .png, .csv and .json") = Path("soberclip-comparison"),
    json: Json = False,
) -> None:
    """Your results and published rows in one plot, with effective robustness and paired classes.

    Example: soberclip counteranimal compare published my-results
    """
    from experiments.counteranimal.figures import write_comparison
    from experiments.counteranimal.robustness import compare as run
    from experiments.counteranimal.robustness import gather

    compared = gather(results, mean, labels, prompts)
    check_writable(output)
    document = run(compared, reference, seed)
    figure = write_comparison(output, compared, document, seed)
    emit(document, json, comparison_table)
    note(f"figure: {figure}")


@app.command
def discover(
    *,
    data: Data,
    model: flag(str, "the model whose accuracies select the backgrounds"),
    weights: flag(Path | None, "its weights file") = None,
    min_photos: flag(Whole, "least number of photos of a background") = 20,
    scoring: Scoring = Scoring(),
    seed: Seed = 0,
    output: flag(Path, "folder for discovered.csv, .json and -groups.csv") = Path("soberclip-discovered"),
    json: Json = False,
) -> None:
    """Build a CounterAnimal of your own photos, with the drop before and after correction for selection.

    Other models are evaluated with --groups discovered-groups.csv.

    Example: soberclip counteranimal discover --data photos --model torchvision:resnet50
    """
    from experiments.counteranimal.discovery import run
    from experiments.counteranimal.evaluation import ModelConfig
    from experiments.counteranimal.labels import installed

    installed("PIL")
    config = ModelConfig(models=[model], weights=None if weights is None else [weights], **asdict(scoring))
    document = run(data=data, model=config, min_photos=min_photos, seed=seed, output=output)
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
    from experiments.counteranimal.compose import run
    from experiments.counteranimal.labels import installed

    installed("PIL")
    document = run(objects=objects, backgrounds=backgrounds, common=common, size=size, seed=seed, output=output)
    emit(document, json, composition_table)


# A verb of its own: main.py has its help text.
def embeddings(
    *files: flag(
        Path,
        "one per model: .npz or .safetensors, with the arrays image, label, group or background, and optionally text "
        "(prompt embeddings, class means or a classifier's weights), text_background, caption, split, names",
    ),
    seed: Seed = 0,
    output: flag(Path | None, "folder for embeddings.html, embeddings.csv and result.json") = None,
    json: Json = False,
) -> None:
    from experiments.counteranimal.reliance import answer_files
    from experiments.counteranimal.reliance_page import FILES, write_files

    check_writable(output, "embeddings", (*FILES, "result.json"))
    document = answer_files(files, seed, note)
    emit(document, json, reliance_table, output)
    if output is not None:
        write_files(output, document)


Document = dict[str, Any]
GROUPS = ("common", "counter")
PERCENTS = {">common %": "{common:%}", ">counter %": "{counter:%}", ">drop %": "{drop:%}"}


class _Cell(Formatter):
    """Three further formats: {x:%} is a fraction in percent, {x:+%} a difference in points, {x:to} an interval.

    A value of None leaves the cell empty.
    """

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "to":
            return interval(value)
        if value is None:
            return ""
        if format_spec == "+%":
            return f"{100 * value:+.2f}"
        return percent(value) if format_spec == "%" else format(value, format_spec)


_fill = _Cell().format


def _listed(title: str | None, columns: dict[str, str], records: Iterable[Document]) -> Group:
    """A table of records; a column is a head and a template of its cells."""
    return table(title, columns, [[_fill(cell, **record) for cell in columns.values()] for record in records])


def _counted(counts: Document) -> str:
    if "common" in counts:
        return _fill("{classes} classes, {common} common and {counter} counter photos", **counts)
    return _fill("{classes} classes, {photos} photos without groups", **counts)


def _folder(entry: Document) -> str:
    folder, index = entry["folder"], str(entry["class_index"])
    return folder if folder.split(" ")[0] == index else f"{folder} ({index})"


def inspection_table(document: Document) -> Group:
    """Counts, for CounterAnimal's classes beside the published ones, then unreadable photos and strays."""
    known = any(c["published_common"] is not None for c in document["classes"])
    groups = GROUPS if document["grouped"] else ("",)
    heads = [head for g in groups for head in (f">{g or 'photos'}{' (published)' if known else ''}", "backgrounds")]
    rows = []
    for c in document["classes"]:
        row: list[Any] = [_folder(c)]
        for group in groups:
            number, printed = (c[f"n_{group}"], c[f"published_{group}"]) if group else (c["n"], None)
            words = f"{number}" if printed is None else f"{number} ({printed})"
            backgrounds = (f"{name or 'unnamed'} {n}" for name, n in c["backgrounds"][group].items())
            row += [words if printed in (None, number) else warning(words), ", ".join(backgrounds)]
        rows.append(row)
    counts = {"classes": document["n_classes"], "photos": document["n"]}
    if document["grouped"]:
        counts |= {group: document[f"n_{group}"] for group in GROUPS}
    published = " (published: 45, {published_n_common}, {published_n_counter})" if known else ""
    return screen(
        table(document["root"], ("class", *heads), rows),
        _counted(counts) + _fill(published, **document),
        *(warning(f"unreadable photo: {bad['path']} ({bad['reason']})") for bad in document["unreadable"]),
        *(warning(f"empty group: {e['group']} of class {e['class_index']}") for e in document["empty_groups"]),
        *(dim(f"stray: {path}") for path in document["strays"]),
    )


def summary_table(documents: list[Document]) -> Group:
    parts = [part for document in documents for part in _summary(document)]
    if len(documents) > 1 and all("drop" in document["macro"] for document in documents):
        ordered = sorted(documents, key=lambda d: -d["macro"]["counter"])
        rows = ({"model": document["model"], **document["macro"]} for document in ordered)
        parts.append(_listed("macro, in order of counter accuracy", {"model": "{model}", **PERCENTS}, rows))
    return screen(*parts)


def _summary(document: Document) -> list[Any]:
    counts, macro = document["counts"], document["macro"]

    def named(index: int) -> str:
        folder = document.get("folders", {}).get(str(index))
        return str(index) if folder is None else _folder({"folder": folder, "class_index": index})

    rows = []
    for mean, words in (("macro", "classes (macro)"), ("micro", "photos (micro)")):
        ends = document["intervals"][mean]
        rows.append([words, *(f"{percent(value)} ({interval(ends[name])})" for name, value in document[mean].items())])
    if document["top5"]:
        rows.append(["classes (top 5)", *map(percent, document["top5"]["macro"].values())])
    heads = ("mean over", *(f">{name} % ({document['level']:.0%})" for name in macro))
    left_out = (named(index) for index in counts.get("left_out_classes", ()))
    parts: list[Any] = [table(document["model"], heads, rows), _counted(counts)]
    if "question" in document:
        parts.append(f"question {document['question']!r}: labels scored by {document['score']}")
    parts += [warning(f"class {name} has an empty group and is left out of all means") for name in left_out]
    if document.get("skipped"):
        parts.append(warning(f"{len(document['skipped'])} unreadable photos were left out"))
    if document.get("unanswered"):
        parts.append(warning(f"{document['unanswered']} photos have no finite score and count as wrong"))
    if document.get("paired"):
        parts += _object_effect(document["paired"])
    parts.append(_equivalent(document))
    if "worst_classes" in document:
        drops = (f"{named(c['class_index'])} {percent(c['drop'])}" for c in document["worst_classes"])
        parts.append(f"largest drops by class: {', '.join(drops)}")
    for kind in ("class", "group"):
        cell = document[f"worst_{kind}"]
        part = (cell[name] for name in ("group", "background") if name in cell)
        where = ", ".join([f"class {named(cell['class_index'])}", *part])
        accuracy = "{accuracy:%} of {photos} photos; the lowest true accuracy lies in {interval:to}"
        parts.append(f"worst {kind} of {cell['of']}: {where}, {_fill(accuracy, **cell)}")
    return parts


def _equivalent(document: Document) -> str:
    """p' and r of a model's own head, or what they lack."""
    if (head := document.get("equivalent")) is None:
        return f"no p': {document['equivalent_lacks']}"
    found = (
        "p' {place}, r {shortfall:%} points ({interval[shortfall]:to}), drop {drop:%}: among the photos' own classes, "
    )
    found += "against the best heads on the model's own embeddings"
    return "; ".join(filter(None, (_fill(found, place=_place(head), **head), _needed(head | {"head": "the model"}))))


def _object_effect(effect: Document) -> list[Any]:
    """The effect of the background at a fixed object, by class and over all."""
    columns = {
        "class": "{class_index}",
        "objects": "{objects}",
        ">common %": "{common:%}",
        ">counter %": "{counter:%}",
        f">difference % ({effect['level']:.0%})": "{difference:%} ({interval:to})",
        ">better on": "{better_on_common}:{better_on_counter}",
        ">p": "{mcnemar_p:.2g}",
        ">p (Holm)": "{p_holm:.2g}",
    }
    every = {**effect, "class_index": "all", "p_holm": None}
    parts: list[Any] = [
        _listed("the background's effect at a fixed object, means over objects", columns, [*effect["classes"], every]),
        "better on: objects with the higher accuracy on common : on counter backgrounds",
        "interval: over objects; p: McNemar's exact test of no effect on any object",
        "both hold for these background photos only; a few difficult photos can make p small",
    ]
    if left_out := effect["left_out_objects"]:
        parts.append(warning(f"{left_out} objects have readable photos in one group only and are left out"))
    return parts


def published_table(document: Document) -> Group:
    """Verdicts on the claims, and the audit; checkpoints and later work are in the files."""
    claims: list[Any] = []
    for c in document["claims"]:
        head = Text.assemble((c["claim"], "bold"), ": ", (c["verdict"], VERDICT_STYLES[c["verdict"]]))
        claims.append([head.append(f"\n{c['statement']}\n[{c['statistic']}]")])
        variant = ("  {name}", "{measured:.4f}", "{interval[0]:.4f} to {interval[1]:.4f}", "{n}")
        claims += [[_fill(cell, **v) for cell in variant] for v in c["variants"]]
        claims.append(None)
    heads = ("claim, statistic, variants", ">measured", f">{1 - document['claims'][0]['alpha']:.0%} interval", ">n")
    checks = {name: f"{{{name}}}" for name in ("check", "table", "row", "cell", "printed", "recomputed")}
    audit = ({**f, "table": f["table"] or "text", "row": f["row"] or ""} for f in document["audit"])
    return screen(
        table("Claims, judged from the tables", heads, claims),
        _listed("Inconsistencies", checks | {"why": "{reason}"}, audit),
        f"{len(document['table'])} printed figures; {len(document['audit'])} findings; --output writes all of them",
    )


MARKS = {
    "*": "interval of the line alone: the model's own error is unknown",
    "†": "extrapolated: outside the common accuracies of the line's models",
    "‡": "an accuracy of 0 or 100 %: at infinity on stretched axes, used for no line",
}


def comparison_table(document: Document) -> Group:
    """Rows with effective robustness on logit axes (the other axes are in the files), then pairs."""
    reference, pairs, rows = document["reference"], document["pairs"], []
    for r in sorted(document["rows"], key=lambda r: r["number"]):
        over = (r["effective_robustness"] or {}).get("logit")
        known = "" if over is None else _fill("{value:+%} ({interval:to})", **over)
        if over is not None:
            known += ("*" if over["interval_of"] == "line" else "") + ("†" if over["extrapolated"] else "")
        marks = "‡" if r["at_edge"] else ""
        head = r["equivalent"]
        place = {"place": head and _place(head), "shortfall": head and _fill("{shortfall:%}", **head)}
        rows.append({**r, **place, "model": f"{r['model']} {marks}".rstrip(), "over": known, "marks": known + marks})
    over = "photos" if pairs and pairs[0]["mean"] == "micro" else "classes"
    paired = {
        f"second minus first, by classes, means over {over}": "{second} - {first} ({classes} classes)",
        "drop %": "{drop[difference]:+%}",
        "95% interval": "{drop[interval]:to}",
        "up:down": "{drop[classes_up]}:{drop[classes_down]}",
        "sign test p": "{drop[sign_test_p]:.3g}",
    }
    over_line = {f">over the {reference} line, logit": "{over}"} if reference else {}
    placed = {">p'": "{place}", ">r, points": "{shortfall}"} if document["ranking"] else {}
    columns = {"no.": "{number}", "model": "{model}", **PERCENTS, **placed, **over_line}
    shown = "".join(row["marks"] for row in rows)
    unpaired = ", ".join(document["unpaired"])
    return screen(
        _listed(None, columns, rows),
        "over the line: 95% interval of line and model" if reference else None,
        f"a model of {reference} is measured from the line of the others" if reference else None,
        *(f"{mark} {meaning}" for mark, meaning in MARKS.items() if mark in shown),
        f"in order of p': {', '.join(document['ranking'])}" if len(document["ranking"]) > 1 else None,
        f"p' is unknown for some: {document['equivalent_lacks']}" if document["equivalent_lacks"] else None,
        _listed(None, paired, pairs) if pairs else None,
        warning(f"pairs not shown, for brevity: {unpaired}") if unpaired else None,
    )


def composition_table(document: Document) -> Group:
    rows = [
        (_folder(c), c["objects"], *(", ".join(f"{name} {n}" for name, n in c[group].items()) for group in GROUPS))
        for c in document["classes"]
    ]
    before = ", {kept} of them by an earlier run" if document["kept"] else ""
    return screen(
        table(document["output"], ("class", "cut-outs", "common (photos)", "counter (photos)"), rows),
        _fill("{composites} composites of {settings[size]} pixels" + before, **document),
        *(dim(f"stray: {path}") for path in document["strays"]),
    )


def discovery_table(document: Document) -> Group:
    columns = {
        "class": "{class_index}",
        "folder": "{folder}",
        "common": "{common_background} {common:%} ({n_common})",
        "counter": "{counter_background} {counter:%} ({n_counter})",
        "naive drop %": "{naive_drop:%}",
        "honest drop %": "{honest_drop:%}",
        "p": "{p_value:.2g}",
        "p (Holm)": "{p_holm:.2g}",
        "p (BH)": "{p_bh:.2g}",
    }
    left_out, classes = len(document["left_out"]), len(document["classes"])
    left = f"{left_out} classes without two backgrounds of {document['min_photos']} photos were left out"
    effects = "{background_effects} of {classes} classes show an effect of the background (Holm's p below .05); "
    effects += "{permutations} permutations allow p = {least_p_holm:.2g} at best"
    return screen(
        _listed(None, columns, document["classes"]),
        _fill("naive drop: {drop:%} ({interval:to})", **document["naive"]),
        _fill("honest drop: {drop:%} ({interval:to})", **document["honest"]),
        _fill(effects, **{**document, "classes": classes}),
        warning(left) if left_out else None,
    )


def reliance_table(document: Document) -> Group:
    """Heads and fixes of each model; several models also in order of p' and r."""
    parts: list[Any] = []
    for model in document["models"]:
        parts += _reliance(model)
    if len(document["models"]) > 1:
        named = {"equivalent_correlation": "p'", "shortfall": "r"}
        parts += [
            f"{document['models'][0]['heads'][0]['head']} in order of {named[key]}: {', '.join(order)}"
            for key, order in document["ranking"].items()
        ]
    return screen(*parts, *document["models"][0]["assumptions"])


def _reliance(model: Document) -> list[Any]:
    columns = {
        "head": "{head}",
        **{
            f">{name} % ({model['level']:.0%})": f"{{{name}:%}} ({{interval[{name}]:to}})" for name in (*GROUPS, "drop")
        },
        ">worst group %": "{worst_group[accuracy]:%}",
        ">p' (relative)": "{place}",
        ">p' by the law": "{gaussian_correlation:.3f}",
        ">r, points": "{shortfall:%} ({interval[shortfall]:to})",
    }
    if model["rows_measured"]["unseen"]:
        columns[">unseen %"] = "{unseen[accuracy]:%} ({unseen[interval]:to})"
    gains = {"fix": "{fix}", **{f">{g}": f"{{gain[{g}]:+%}} ({{gain_interval[{g}]:to}})" for g in GROUPS}}
    gains |= {
        f">{g}, predicted": f"{{prediction[{g}][predicted]:+%}} ({{prediction[{g}][interval]:to}})" for g in GROUPS
    }
    gains |= {">p' (relative)": "{place}"}
    heads, fixes = ([{**entry, "place": _place(entry)} for entry in model[key]] for key in ("heads", "fixes"))
    known = "{rows} embeddings of {dimensions} dimensions, {classes} classes; {rows_measured[common]} common and "
    law, share = model["gaussian_law"], model["correlation_of_train_rows"]
    return [
        _listed(model["model"], columns, heads),
        _fill(known + "{rows_measured[counter]} counter photos measured", **model),
        None if share is None else f"training rows of this file: {percent(share)} % are common; compare p' with it",
        _needed(model["heads"][0]),
        _detail(model["detail"]),
        _listed("gains of fixes over zero-shot, in points", gains, fixes) if fixes else None,
        _fill("{inside} of {of} gains on other photos lie in the predicted intervals", **model["predictions_inside"])
        if fixes
        else None,
        f"the Gaussian law of the scores of {model['heads'][0]['head']} is {law['verdict']}: {law['reason']}",
    ]


def _place(entry: Document) -> str:
    """p' with its interval; the interval alone, if it is wide."""
    ends = "{:.3f} to {:.3f}".format(*entry["interval"]["equivalent_correlation"])
    value = entry["equivalent_correlation"]
    return ends if value is None else f"{value:.3f} ({ends})"


def _needed(head: Document) -> str | None:
    if head["photos_needed"] is None:
        return None
    times = f"about {head['photos_needed']:.1f} times as many photos of each group would resolve it"
    return f"p' of {head['head']} is not resolved: {times}"


def _detail(detail: Document | None) -> str | None:
    if detail is None:
        return None
    listed = ", ".join(
        "{:.2f} ({:.2f} to {:.2f})".format(one["value"], *one["interval"]) for one in detail["correlations"]
    )
    return f"detail of the captions, a lower bound: {listed} (correlation with the image within class and background)"
