"""The screens of the verbs of counteranimal: a document in, lines and tables out.

A column is a head and a template of its cells. Templates have three further formats: {x:%} is a fraction in
percent, {x:+%} a difference in points, {x:to} an interval in percent. A value of None leaves the cell empty.
"""

from collections.abc import Iterable
from string import Formatter
from typing import Any

from rich.console import Group
from rich.text import Text

from experiments.command.output import VERDICT_STYLES, dim, interval, percent, screen, table, warning

Document = dict[str, Any]
GROUPS = ("common", "counter")
PERCENTS = {">common %": "{common:%}", ">counter %": "{counter:%}", ">drop %": "{drop:%}"}


class _Cell(Formatter):
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
    return table(title, columns, [[_fill(cell, **record) for cell in columns.values()] for record in records])


def _counted(counts: Document) -> str:
    """Numbers of photos in words."""
    if "common" in counts:
        return _fill("{classes} classes, {common} common and {counter} counter photos", **counts)
    return _fill("{classes} classes, {photos} photos without groups", **counts)


def _folder(entry: Document) -> str:
    """A class by its folder and its index."""
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
    """Both means of each model, its worst classes and groups, and its place among the published models."""
    parts = [part for document in documents for part in _summary(document)]
    if len(documents) > 1 and all("drop" in document["macro"] for document in documents):
        rows = []
        for document in sorted(documents, key=lambda d: -d["macro"]["counter"]):
            off = (document["standing"] or {}).get("off_printed")
            words = f"{100 * off['common']:+.1f} {100 * off['counter']:+.1f}" if off else ""
            rows.append({"model": document["model"], **document["macro"], "off": words})
        columns = {"model": "{model}", **PERCENTS, ">minus printed": "{off}"}
        parts.append(_listed("macro, in order of counter accuracy", columns, rows))
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
    if "worst_classes" in document:
        drops = (f"{named(c['class_index'])} {percent(c['drop'])}" for c in document["worst_classes"])
        parts.append(f"largest drops by class: {', '.join(drops)}")
    for kind in ("class", "group"):
        cell = document[f"worst_{kind}"]
        part = (cell[name] for name in ("group", "background") if name in cell)
        where = ", ".join([f"class {named(cell['class_index'])}", *part])
        accuracy = "{accuracy:%} of {photos} photos; the lowest true accuracy lies in {interval:to}"
        parts.append(f"worst {kind} of {cell['of']}: {where}, {_fill(accuracy, **cell)}")
    return parts + _standing(document["standing"])


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


def _standing(place: Document | None) -> list[str]:
    """The place of a model among the published ones; empty if none were published."""
    if place is None:
        return []
    over = [
        f"{100 * value:+.1f} over the {family} line" + (" (extrapolated)" if family in place["extrapolated"] else "")
        for family, value in place["effective_robustness"].items()
    ]
    drop = "{rank_drop} (1 = smallest)"
    if place["rank_drop"] is None:
        drop = "not ranked, since every published model has a higher common accuracy"
    ranks = "among {of} published models (macro): common {rank_common}, counter {rank_counter}, drop " + drop
    lines = [
        f"{_fill(ranks, **place)}; counter accuracy {', '.join(over) or 'has no line'}; "
        f"nearest {place['nearest']['model']}"
    ]
    if place["printed"]:
        printed = "the paper prints common {common:%}, counter {counter:%} for this checkpoint, {model}"
        lines.append(_fill(printed, **place["printed"]))
    return lines


def expected_table(models: list[Document]) -> Group:
    """What would be loaded, and the paper's accuracies for it."""
    rows = []
    for m in models:
        name = (m["published"] or "") + (" *" if m["stated"] is False else "")
        rows.append({"model": m["model"], "name": name, **(m["printed"] or dict.fromkeys(GROUPS))})
    columns = {"model": "{model}", "published as": "{name}", ">common %": "{common:%}", ">counter %": "{counter:%}"}
    inferred = any(m["stated"] is False for m in models)
    return screen(
        _listed("Models, and what the paper prints for them", columns, rows),
        f"{len(models)} models; nothing was loaded",
        "* the paper does not name the checkpoint; this one fits its description" if inferred else None,
    )


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
    "≁": "not comparable: another protocol, used for no line",
}


def comparison_table(document: Document) -> Group:
    """Rows with effective robustness on logit axes (the other axes are in the files), then pairs."""
    reference, pairs, rows = document["reference"], document["pairs"], []
    for r in sorted(document["rows"], key=lambda r: r["number"]):
        over = (r["effective_robustness"] or {}).get("logit")
        known = "" if over is None else _fill("{value:+%} ({interval:to})", **over)
        if over is not None:
            known += ("*" if over["interval_of"] == "line" else "") + ("†" if over["extrapolated"] else "")
        marks = ("‡" if r["at_edge"] else "") + ("" if r["comparable"] else "≁")
        rows.append({**r, "model": f"{r['model']} {marks}".rstrip(), "over": known, "marks": known + marks})
    over_line = {f">over the {reference} line, logit": "{over}"} if reference else {}
    columns = {"no.": "{number}", "model": "{model}", **PERCENTS, **over_line}
    shown = "".join(row["marks"] for row in rows)
    protocols = {f"≁ {r['source']}: {r['protocol']}" for r in document["rows"] if not r["comparable"]}
    unpaired = ", ".join(document["unpaired"])
    by_object = [{**pair, **pair["objects"]} for pair in pairs if pair.get("objects")]
    return screen(
        _listed(None, columns, rows),
        "over the line: 95% interval of line and model" if reference else None,
        f"a model of {reference} is measured from the line of the others" if reference else None,
        *(f"{mark} {meaning}" for mark, meaning in MARKS.items() if mark in shown),
        *sorted(protocols),
        *(_pairs(part, unit) for part, unit in ((pairs, "classes"), (by_object, "objects")) if part),
        warning(f"pairs not shown, for brevity: {unpaired}") if unpaired else None,
    )


def _pairs(pairs: list[Document], unit: str) -> Group:
    over = "photos" if pairs[0]["mean"] == "micro" else unit
    columns = {
        f"second minus first, by {unit}, means over {over}": f"{{second}} - {{first}} ({{{unit}}} {unit})",
        "drop %": "{drop[difference]:+%}",
        "95% interval": "{drop[interval]:to}",
        "up:down": f"{{drop[{unit}_up]}}:{{drop[{unit}_down]}}",
        "sign test p": "{drop[sign_test_p]:.3g}",
    }
    return _listed(None, columns, pairs)


def composition_table(document: Document) -> Group:
    """Counts of the composites of each class."""
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
    """Selected backgrounds with naive and honest drops."""
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


def law_table(document: Document) -> Group:
    """Verdicts with predictions and measurements, then each model's reliance and drop."""
    models, ranking = document["models"], document["ranking"]
    predictions = {
        "model": "{model}",
        "verdict": "{verdict}",
        **{f">{g}": f"{{law[groups][{g}][predicted]:%}} : {{law[groups][{g}][measured]:%}}" for g in GROUPS},
        ">rms error": "{law[rms][value]:%} ({law[rms][bounds]:to})",
    }
    reliances = []
    for m in models:
        t, ends = m["reliance"]["t"], m["reliance"]["interval"]
        words = "none" if t is None else f"{t:.2f}" + (f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else "")
        reliances.append((m["model"], words, percent(m["drop"])))
    ranked = "t ranks models as the drop does: {verdict} (n = {models}"
    if ranking["tau"] is not None:
        ranked += ", Kendall's tau {tau:+.2f}, exact p = {p:.2g}, error rate {alpha:g}"
    unmeasured = "{model}: {photos_without_cell} photos are not measured: their class lacks a group, or their "
    return screen(
        f"claim: {document['statement']}",
        _listed("Predicted : measured, %", predictions, models),
        *(f"{m['model']}: {m['reason']}" for m in models),
        "rms error: root mean square over classes and groups, beyond sampling error",
        f"tolerance {100 * document['tolerance']:g} points; if the law holds, it is contradicted with probability "
        f"{document['alpha']:g} at most",
        *(warning(_fill(unmeasured + "background has one photo", **m)) for m in models if m["photos_without_cell"]),
        table("Reliance on the background", ("model", ">t (95%)", ">drop %"), reliances),
        "t: effect of backgrounds on a class's score, divided by that of classes (95%), from the fitted half",
        "drop: common - counter, on the other half",
        _fill(ranked + ")", **ranking),
    )
