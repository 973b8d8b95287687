"""The screens of the verbs of counteranimal."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from experiments.command.output import VERDICT_STYLES, folded, interval, percent


def inspection_view(document: dict[str, Any]) -> Group:
    """Counts, for CounterAnimal's classes beside the published ones, then unreadable photos and strays."""
    table = Table("class", title=Text(document["root"]), title_justify="left")
    known = any(c["published_common"] is not None for c in document["classes"])
    groups = ("common", "counter") if document["grouped"] else ("",)
    for group in groups:
        table.add_column(f"{group or 'photos'}{' (published)' if known else ''}", justify="right")
        table.add_column("backgrounds")
    for c in document["classes"]:
        cells = [Text(_indexed(c["folder"], c["class_index"]))]
        for group in groups:
            found, printed = (c[f"n_{group}"], c[f"published_{group}"]) if group else (c["n"], None)
            words = f"{found}" if printed is None else f"{found} ({printed})"
            cells.append(Text(words, style="" if printed in (None, found) else "yellow"))
            cells.append(Text(", ".join(f"{name or 'unnamed'} {n}" for name, n in c["backgrounds"][group].items())))
        table.add_row(*cells)
    totals = f"{document['n_classes']} classes, "
    if document["grouped"]:
        totals += f"{document['n_common']} common and {document['n_counter']} counter photos"
    else:
        totals += f"{document['n']} photos without groups"
    if known:
        totals += f" (published: 45, {document['published_n_common']}, {document['published_n_counter']})"
    notes = [Text(totals)]
    for key, word in (("unreadable", "unreadable photo"), ("empty_groups", "empty group")):
        for entry in document[key]:
            text = (
                f"{entry['path']} ({entry['reason']})"
                if key == "unreadable"
                else f"{entry['group']} of class {entry['class_index']}"
            )
            notes.append(Text(f"{word}: {text}", style="yellow"))
    notes += [Text(f"stray: {path}", style="dim") for path in document["strays"]]
    return folded(table, *notes)


def _indexed(folder: str, index: int) -> str:
    return folder if folder.split(" ")[0] == str(index) else f"{folder} ({index})"


def summary_view(documents: list[dict[str, Any]]) -> Group:
    """Both means of each model, its worst classes and groups, and its place among the published models."""
    parts: list[Any] = []
    for document in documents:
        names = ("common", "counter", "drop") if "common" in document["macro"] else ("accuracy",)
        parts.append(_means(document, names))
        counts = document["counts"]
        if "drop" in names:
            photos = f"{counts['common']} common and {counts['counter']} counter photos"
        else:
            photos = f"{counts['photos']} photos without groups"
        parts.append(Text(f"{counts['classes']} classes, {photos}"))
        if "question" in document:
            parts.append(Text(f"question {document['question']!r}: labels scored by {document['score']}"))
        for index in counts.get("left_out_classes", ()):
            named = _named(document, index)
            parts.append(Text(f"class {named} has an empty group and is left out of all means", style="yellow"))
        if document.get("skipped"):
            parts.append(Text(f"{len(document['skipped'])} unreadable photos were left out", style="yellow"))
        if document.get("unanswered"):
            said = f"{document['unanswered']} photos have no finite score and count as wrong"
            parts.append(Text(said, style="yellow"))
        parts += _paired(document.get("paired"))
        if "worst_classes" in document:
            worst = ", ".join(
                f"{_named(document, c['class_index'])} {percent(c['drop'])}" for c in document["worst_classes"]
            )
            parts.append(Text(f"largest drops by class: {worst}"))
        parts += [_worst(document, "class"), _worst(document, "group")]
        parts += _standing(document.get("standing"))
    if len(documents) > 1 and all("drop" in document["macro"] for document in documents):
        parts.append(_overview(documents))
    return folded(*parts)


def expected_view(models: list[dict[str, Any]]) -> Group:
    """What would be loaded, and the paper's accuracies for it."""
    table = Table("model", "published as", title="Models, and what the paper prints for them", title_justify="left")
    for name in ("common %", "counter %"):
        table.add_column(name, justify="right", no_wrap=True)
    for m in models:
        printed = m["printed"]
        cells = ("", "") if printed is None else (percent(printed["common"]), percent(printed["counter"]))
        table.add_row(
            Text(m["model"]), Text((m["published"] or "") + ("" if m["stated"] is not False else " *")), *cells
        )
    notes = [Text(f"{len(models)} models; nothing was loaded")]
    if any(m["stated"] is False for m in models):
        notes.append(Text("* the paper does not name the checkpoint; this one fits its description"))
    return folded(table, *notes)


def _overview(documents: list[dict[str, Any]]) -> Table:
    """All models in one table, with the difference from the paper's figures for their checkpoints."""
    table = Table("model", title="macro, in order of counter accuracy", title_justify="left")
    for name in ("common %", "counter %", "drop %", "off the printed"):
        table.add_column(name, justify="right", no_wrap=True)
    for document in sorted(documents, key=lambda d: -d["macro"].get("counter", 0)):
        off = (document.get("standing") or {}).get("off_printed")
        difference = "" if off is None else f"{100 * off['common']:+.1f} {100 * off['counter']:+.1f}"
        values = (percent(document["macro"][name]) for name in ("common", "counter", "drop"))
        table.add_row(Text(document["model"]), *values, difference)
    return table


def _means(document: dict[str, Any], names: tuple[str, ...]) -> Table:
    """Macro and micro means with intervals, and shares among the first five answers."""
    table = Table("mean over", title=Text(document["model"]), title_justify="left")
    for name in names:
        table.add_column(f"{name} % ({document['level']:.0%})", justify="right")
    over = {"macro": "classes (macro)", "micro": "photos (micro)"}
    for mean, words in over.items():
        values, ends = document[mean], document["intervals"][mean]
        table.add_row(words, *(f"{percent(values[name])} ({interval(ends[name])})" for name in names))
    if document["top5"]:
        table.add_row("classes, of the first 5", *(percent(document["top5"]["macro"][name]) for name in names))
    return table


def _named(document: dict[str, Any], index: int) -> str:
    """A class by its folder if the result has it, otherwise by its index."""
    folder = document.get("folders", {}).get(str(index))
    return str(index) if folder is None else _indexed(folder, index)


def _worst(document: dict[str, Any], kind: str) -> Text:
    """The worst of all classes or groups; the interval is of the least true accuracy."""
    cell = document[f"worst_{kind}"]
    part = [str(cell[key]) for key in ("group", "background") if key in cell]
    where = ", ".join([f"class {_named(document, cell['class_index'])}", *part])
    return Text(
        f"worst {kind} of {cell['of']}: {where}, {percent(cell['accuracy'])} of {cell['photos']} photos; the least "
        f"true accuracy of all lies in {interval(cell['interval'])}"
    )


def _paired(effect: dict[str, Any] | None) -> list[Any]:
    """The effect of the background at a fixed object, by class and over all; empty for ordinary photos."""
    if effect is None:
        return []
    title = "the background's effect at a fixed object, means over objects"
    table = Table("class", "objects", title=title, title_justify="left")
    for name in ("common %", "counter %", f"difference % ({effect['level']:.0%})", "better on", "p", "p (Holm)"):
        table.add_column(name, justify="right")
    for row in (*effect["classes"], effect):
        if row is effect:
            table.add_section()
        table.add_row(
            str(row.get("class_index", "all")),
            str(row["objects"]),
            percent(row["common"]),
            percent(row["counter"]),
            f"{percent(row['difference'])} ({interval(row['interval'])})",
            f"{row['better_on_common']}:{row['better_on_counter']}",
            f"{row['mcnemar_p']:.2g}",
            f"{row['p_holm']:.2g}" if "p_holm" in row else "",
        )
    notes = [
        Text("better on: objects right more often on common : on counter backgrounds"),
        Text("interval: over objects; p: McNemar's exact test of no effect on any object"),
        Text("both hold for these background photos only; if they are few, their difficulty alone can reject"),
    ]
    if effect["left_out_objects"]:
        said = f"{effect['left_out_objects']} objects have readable photos in one group only and are left out"
        notes.append(Text(said, style="yellow"))
    return [table, *notes]


def _standing(place: dict[str, Any] | None) -> list[Text]:
    """The place of a model among the published ones; empty if none were published."""
    if place is None:
        return []
    over = [
        f"{100 * value:+.1f} over the {family} line" + (" (extrapolated)" if family in place["extrapolated"] else "")
        for family, value in place["effective_robustness"].items()
    ]
    drop = "not ranked, since every published model has a higher common accuracy"
    if place["rank_drop"] is not None:
        drop = f"{place['rank_drop']} (1 = smallest)"
    lines = [
        f"among {place['of']} published models (macro): common {place['rank_common']}, counter "
        f"{place['rank_counter']}, drop {drop}; counter accuracy {', '.join(over) or 'has no line'}; "
        f"nearest {place['nearest']['model']}"
    ]
    if place["printed"]:
        printed = place["printed"]
        lines.append(
            f"the paper prints common {percent(printed['common'])}, counter {percent(printed['counter'])} for this "
            f"checkpoint, {printed['model']}"
        )
    return [Text(line) for line in lines]


def published_view(document: dict[str, Any]) -> Group:
    """Verdicts on the claims, then the audit."""
    level = 1 - document["claims"][0]["alpha"]
    claims = Table("claim, statistic, variants", title="Claims, judged from the tables", title_justify="left")
    for name in ("measured", f"{level:.0%} interval", "n"):
        claims.add_column(name, justify="right", no_wrap=True)
    for c in document["claims"]:
        head = Text.assemble((c["claim"], "bold"), ": ", (c["verdict"], VERDICT_STYLES[c["verdict"]]))
        claims.add_row(head.append(f"\n{c['statement']}\n[{c['statistic']}]"))
        for v in c["variants"]:
            low, high = v["interval"]
            claims.add_row("  " + v["name"], f"{v['measured']:.4f}", f"{low:.4f} to {high:.4f}", str(v["n"]))
        claims.add_section()
    audit = Table(
        "check",
        "table",
        "row",
        "cell",
        "printed",
        "recomputed",
        "why",
        title="Inconsistencies",
        title_justify="left",
    )
    for f in document["audit"]:
        audit.add_row(
            f["check"],
            str(f["table"] or "text"),
            str(f["row"] or ""),
            f["cell"],
            f["printed"],
            f["recomputed"],
            Text(f["reason"]),
        )
    models = Table("Table 3", "evaluate --model", title="Checkpoints behind Table 3", title_justify="left")
    for c in document["checkpoints"]:
        models.add_row(Text(c["model"]), Text(c["spec"] + ("" if c["stated"] else " *")))
    found = Text(f"{len(document['table'])} printed figures; {len(document['audit'])} findings")
    return folded(claims, audit, found, models, *_since(document["since"]))


def _since(rows: list[dict[str, Any]]) -> list[Any]:
    """Figures of later work, and their distance from the paper's."""
    table = Table("model", title="Later work, not comparable with the paper's figures", title_justify="left")
    for name in ("common %", "counter %", "drop %", "off the paper's (macro)", "off the paper's (micro)"):
        table.add_column(name, justify="right")
    for r in rows:
        table.add_row(
            Text(r["model"]),
            *(percent(r[k]) for k in ("common", "counter", "drop")),
            *(f"{100 * r[f'common_off_{m}']:+.2f}, {100 * r[f'counter_off_{m}']:+.2f}" for m in ("macro", "micro")),
        )
    protocols = dict.fromkeys((r["source"], r["protocol"]) for r in rows)
    said = Text("off the paper's: common and counter above its ResNet-50, in points")
    return [table, said, *(Text(f"{source}: {protocol}") for source, protocol in protocols)]


MARKS = {
    "*": "of the line alone: the model's own error is not known",
    "†": "extrapolated: outside the common accuracies of the line's models",
    "‡": "an accuracy of 0 or 100 %: on the edge of stretched axes, in no line",
    "≁": "not comparable: another protocol, in no line",
}


def comparison_view(document: dict[str, Any]) -> Group:
    """Rows with effective robustness on logit axes (the other axes are in the files), then pairs."""
    table = Table("no.", "model", "common %", "counter %", "drop %")
    if document["reference"]:
        table.add_column(f"over the {document['reference']} line, logit", justify="right")
    marks = set()
    for r in sorted(document["rows"], key=lambda r: r["number"]):
        cells = [percent(r[k]) for k in ("common", "counter", "drop")]
        named = ("‡" if r["at_edge"] else "") + ("" if r["comparable"] else "≁")
        marks |= set(named)
        if r["effective_robustness"] is not None:
            over = r["effective_robustness"]["logit"]
            mark = ("*" if over["interval_of"] == "line" else "") + ("†" if over["extrapolated"] else "")
            marks |= set(mark)
            cells.append(f"{100 * over['value']:+.2f} ({interval(over['interval'])}){mark}")
        table.add_row(str(r["number"]), Text(f"{r['model']} {named}".rstrip()), *cells)
    notes = []
    if document["reference"]:
        notes.append(Text("over the line: 95% interval of line and model"))
    notes += [Text(f"{mark} {meaning}") for mark, meaning in MARKS.items() if mark in marks]
    known = {(r["source"], r["protocol"]) for r in document["rows"] if not r["comparable"]}
    notes += [Text(f"≁ {source}: {protocol}") for source, protocol in sorted(known)]
    return folded(table, *notes, *_pairs(document))


def _pairs(document: dict[str, Any]) -> list[Any]:
    """Pairs of models by class and, for composites, by object."""
    parts: list[Any] = []
    for unit in ("classes", "objects"):
        found = [(p, p if unit == "classes" else p.get("objects")) for p in document["pairs"]]
        found = [(names, part) for names, part in found if part]
        if not found:
            continue
        title = f"by {'class' if unit == 'classes' else 'object'}, second minus first"
        if unit == "classes":
            title += f", means over {'photos' if found[0][0]['mean'] == 'micro' else 'classes'}"
        table = Table(title, "drop %", "95% interval", "up:down", "sign test p")
        for names, part in found:
            d = part["drop"]
            table.add_row(
                Text(f"{names['second']} - {names['first']} ({part[unit]} {unit})"),
                f"{100 * d['difference']:+.2f}",
                interval(d["interval"]),
                f"{d[f'{unit}_up']}:{d[f'{unit}_down']}",
                f"{d['sign_test_p']:.3g}",
            )
        parts.append(table)
    if document["unpaired"]:
        parts.append(Text(f"not paired, to keep this readable: {', '.join(document['unpaired'])}", style="yellow"))
    return parts


def composition_view(document: dict[str, Any]) -> Group:
    """Counts of the composites of each class."""
    table = Table("class", "cut-outs", "common (photos)", "counter (photos)", title=Text(document["output"]))
    table.title_justify = "left"
    for c in document["classes"]:
        backgrounds = [
            Text(", ".join(f"{name} {n}" for name, n in c[group].items())) for group in ("common", "counter")
        ]
        table.add_row(Text(_indexed(c["folder"], c["class_index"])), str(c["objects"]), *backgrounds)
    made = f"{document['composites']} composites of {document['settings']['size']} pixels"
    before = f", {document['kept']} of them by an earlier run" if document["kept"] else ""
    strays = [Text(f"stray: {path}", style="dim") for path in document["strays"]]
    return folded(table, Text(made + before), *strays)


def discovery_view(document: dict[str, Any]) -> Group:
    """Selected backgrounds with naive and honest drops."""
    table = Table("class", "folder", "common", "counter", "naive drop %", "honest drop %", "p", "p (Holm)", "p (BH)")
    for c in document["classes"]:
        table.add_row(
            str(c["class_index"]),
            Text(c["folder"]),
            Text(f"{c['common_background']} {percent(c['common'])} ({c['n_common']})"),
            Text(f"{c['counter_background']} {percent(c['counter'])} ({c['n_counter']})"),
            percent(c["naive_drop"]),
            percent(c["honest_drop"]),
            *(f"{c[k]:.2g}" for k in ("p_value", "p_holm", "p_bh")),
        )
    lines = [
        Text(f"{word} drop: {percent(document[word]['drop'])} ({interval(document[word]['interval'])})")
        for word in ("naive", "honest")
    ]
    effects, least = document["background_effects"], document["least_p_holm"]
    said = f"{effects} of {len(document['classes'])} classes show an effect of the background (Holm's p below .05)"
    lines.append(Text(f"{said}; {document['permutations']} permutations allow p = {least:.2g} at best"))
    left = (
        f"{len(document['left_out'])} classes without two backgrounds of {document['min_photos']} photos were left out"
    )
    return folded(table, *lines, *([Text(left, style="yellow")] if document["left_out"] else []))
