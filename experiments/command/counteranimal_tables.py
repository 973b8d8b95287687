"""The screens of the verbs of counteranimal: a document in, lines and tables out."""

from typing import Any

from rich.console import Group
from rich.text import Text

from experiments.command.output import VERDICT_STYLES, dim, interval, percent, screen, table, warning

Document = dict[str, Any]
GROUPS = ("common", "counter")
QUANTITIES = (*GROUPS, "drop")


def inspection_table(document: Document) -> Group:
    """Counts, for CounterAnimal's classes beside the published ones, then unreadable photos and strays."""
    known = any(c["published_common"] is not None for c in document["classes"])
    groups = GROUPS if document["grouped"] else ("",)
    heads = [(f">{group or 'photos'}{' (published)' if known else ''}", "backgrounds") for group in groups]

    def cells(c: Document, group: str) -> tuple[Any, str]:
        number, printed = (c[f"n_{group}"], c[f"published_{group}"]) if group else (c["n"], None)
        backgrounds = ", ".join(f"{name or 'unnamed'} {n}" for name, n in c["backgrounds"][group].items())
        if printed is None:
            return number, backgrounds
        return (str if number == printed else warning)(f"{number} ({printed})"), backgrounds

    rows = [(_folder(c), *(cell for group in groups for cell in cells(c, group))) for c in document["classes"]]
    if document["grouped"]:
        photos = f"{document['n_common']} common and {document['n_counter']} counter photos"
    else:
        photos = f"{document['n']} photos without groups"
    total = f"{document['n_classes']} classes, {photos}"
    if known:
        total += f" (published: 45, {document['published_n_common']}, {document['published_n_counter']})"
    return screen(
        table(document["root"], ("class", *(head for pair in heads for head in pair)), rows),
        total,
        *(warning(f"unreadable photo: {bad['path']} ({bad['reason']})") for bad in document["unreadable"]),
        *(warning(f"empty group: {e['group']} of class {e['class_index']}") for e in document["empty_groups"]),
        *(dim(f"stray: {path}") for path in document["strays"]),
    )


def _folder(entry: Document) -> str:
    """A class by its folder and its index."""
    folder, index = entry["folder"], str(entry["class_index"])
    return folder if folder.split(" ")[0] == index else f"{folder} ({index})"


def summary_table(documents: list[Document]) -> Group:
    """Both means of each model, its worst classes and groups, and its place among the published models."""
    parts = [part for document in documents for part in _summary(document)]
    if len(documents) > 1 and all("drop" in document["macro"] for document in documents):
        rows = []
        for document in sorted(documents, key=lambda d: -d["macro"]["counter"]):
            off = (document["standing"] or {}).get("off_printed")
            difference = off and f"{100 * off['common']:+.1f} {100 * off['counter']:+.1f}"
            rows.append((document["model"], *_percents(document["macro"]), difference))
        heads = ("model", ">common %", ">counter %", ">drop %", ">off the printed")
        parts.append(table("macro, in order of counter accuracy", heads, rows))
    return screen(*parts)


def _percents(accuracies: Document) -> list[str]:
    return [percent(accuracies[name]) for name in QUANTITIES]


def _summary(document: Document) -> list[Any]:
    counts, grouped = document["counts"], "drop" in document["macro"]
    names = QUANTITIES if grouped else ("accuracy",)
    rows = []
    for mean, words in (("macro", "classes (macro)"), ("micro", "photos (micro)")):
        values, ends = document[mean], document["intervals"][mean]
        rows.append((words, *(f"{percent(values[name])} ({interval(ends[name])})" for name in names)))
    if document["top5"]:
        rows.append(("classes, of the first 5", *(percent(document["top5"]["macro"][name]) for name in names)))
    if grouped:
        photos = f"{counts['common']} common and {counts['counter']} counter photos"
    else:
        photos = f"{counts['photos']} photos without groups"
    skipped, unanswered = len(document.get("skipped", ())), document.get("unanswered")
    left_out = [_named(document, index) for index in counts.get("left_out_classes", ())]
    parts: list[Any] = [
        table(document["model"], ("mean over", *(f">{name} % ({document['level']:.0%})" for name in names)), rows),
        f"{counts['classes']} classes, {photos}",
        f"question {document['question']!r}: labels scored by {document['score']}" if "question" in document else None,
        *(warning(f"class {name} has an empty group and is left out of all means") for name in left_out),
        warning(f"{skipped} unreadable photos were left out") if skipped else None,
        warning(f"{unanswered} photos have no finite score and count as wrong") if unanswered else None,
    ]
    if document.get("paired"):
        parts += _object_effect(document["paired"])
    if grouped:
        worst = (f"{_named(document, c['class_index'])} {percent(c['drop'])}" for c in document["worst_classes"])
        parts.append(f"largest drops by class: {', '.join(worst)}")
    for kind in ("class", "group"):
        cell = document[f"worst_{kind}"]
        part = (cell[name] for name in ("group", "background") if name in cell)
        where = ", ".join([f"class {_named(document, cell['class_index'])}", *part])
        parts.append(
            f"worst {kind} of {cell['of']}: {where}, {percent(cell['accuracy'])} of {cell['photos']} photos; the least "
            f"true accuracy of all lies in {interval(cell['interval'])}"
        )
    return parts + (_standing(document["standing"]) if document["standing"] else [])


def _named(document: Document, index: int) -> str:
    """A class by its folder if the result has it, otherwise by its index."""
    folder = document.get("folders", {}).get(str(index))
    return str(index) if folder is None else _folder({"folder": folder, "class_index": index})


def _object_effect(effect: Document) -> list[Any]:
    """The effect of the background at a fixed object, by class and over all."""
    rows: list[Any] = [
        (
            row.get("class_index", "all"),
            row["objects"],
            percent(row["common"]),
            percent(row["counter"]),
            f"{percent(row['difference'])} ({interval(row['interval'])})",
            f"{row['better_on_common']}:{row['better_on_counter']}",
            f"{row['mcnemar_p']:.2g}",
            f"{row['p_holm']:.2g}" if "p_holm" in row else None,
        )
        for row in (*effect["classes"], effect)
    ]
    rows.insert(-1, None)
    heads = ("class", "objects", ">common %", ">counter %", f">difference % ({effect['level']:.0%})")
    left_out = effect["left_out_objects"]
    return [
        table(
            "the background's effect at a fixed object, means over objects",
            (*heads, ">better on", ">p", ">p (Holm)"),
            rows,
        ),
        "better on: objects right more often on common : on counter backgrounds",
        "interval: over objects; p: McNemar's exact test of no effect on any object",
        "both hold for these background photos only; if they are few, their difficulty alone can reject",
        warning(f"{left_out} objects have readable photos in one group only and are left out") if left_out else None,
    ]


def _standing(place: Document) -> list[str]:
    """The place of a model among the published ones."""
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
    return lines


def expected_table(models: list[Document]) -> Group:
    """What would be loaded, and the paper's accuracies for it."""
    rows = []
    for m in models:
        printed = m["printed"] or dict.fromkeys(GROUPS)
        name = (m["published"] or "") + ("" if m["stated"] is not False else " *")
        rows.append((m["model"], name, percent(printed["common"]), percent(printed["counter"])))
    inferred = any(m["stated"] is False for m in models)
    return screen(
        table("Models, and what the paper prints for them", ("model", "published as", ">common %", ">counter %"), rows),
        f"{len(models)} models; nothing was loaded",
        "* the paper does not name the checkpoint; this one fits its description" if inferred else None,
    )


def published_table(document: Document) -> Group:
    """Verdicts on the claims, and the audit; checkpoints and later work are in the files."""
    claims: list[Any] = []
    for c in document["claims"]:
        head = Text.assemble((c["claim"], "bold"), ": ", (c["verdict"], VERDICT_STYLES[c["verdict"]]))
        claims.append((head.append(f"\n{c['statement']}\n[{c['statistic']}]"),))
        for v in c["variants"]:
            low, high = v["interval"]
            claims.append(("  " + v["name"], f"{v['measured']:.4f}", f"{low:.4f} to {high:.4f}", v["n"]))
        claims.append(None)
    checks = ("check", "table", "row", "cell", "printed", "recomputed", "reason")
    audit = [[f[name] or ("text" if name == "table" else "") for name in checks] for f in document["audit"]]
    level = f">{1 - document['claims'][0]['alpha']:.0%} interval"
    return screen(
        table("Claims, judged from the tables", ("claim, statistic, variants", ">measured", level, ">n"), claims),
        table("Inconsistencies", (*checks[:-1], "why"), audit),
        f"{len(document['table'])} printed figures; {len(document['audit'])} findings; --output writes all of them",
    )


MARKS = {
    "*": "of the line alone: the model's own error is not known",
    "†": "extrapolated: outside the common accuracies of the line's models",
    "‡": "an accuracy of 0 or 100 %: on the edge of stretched axes, in no line",
    "≁": "not comparable: another protocol, in no line",
}


def comparison_table(document: Document) -> Group:
    """Rows with effective robustness on logit axes (the other axes are in the files), then pairs."""
    reference, rows, marks = document["reference"], [], ""
    for r in sorted(document["rows"], key=lambda r: r["number"]):
        named = ("‡" if r["at_edge"] else "") + ("" if r["comparable"] else "≁")
        over, cell = (r["effective_robustness"] or {}).get("logit"), None
        if over:
            mark = ("*" if over["interval_of"] == "line" else "") + ("†" if over["extrapolated"] else "")
            cell = f"{100 * over['value']:+.2f} ({interval(over['interval'])}){mark}"
            marks += mark
        marks += named
        rows.append((r["number"], f"{r['model']} {named}".rstrip(), *_percents(r), *([cell] if reference else [])))
    heads = ["no.", "model", "common %", "counter %", "drop %"]
    protocols = {f"≁ {r['source']}: {r['protocol']}" for r in document["rows"] if not r["comparable"]}
    unpaired = ", ".join(document["unpaired"])
    by_object = [{**pair, **pair["objects"]} for pair in document["pairs"] if pair.get("objects")]
    return screen(
        table(None, [*heads, *([f">over the {reference} line, logit"] if reference else [])], rows),
        "over the line: 95% interval of line and model" if reference else None,
        *(f"{mark} {meaning}" for mark, meaning in MARKS.items() if mark in marks),
        *sorted(protocols),
        _pairs(document["pairs"], "classes", "by class") if document["pairs"] else None,
        _pairs(by_object, "objects", "by object") if by_object else None,
        warning(f"not paired, to keep this readable: {unpaired}") if unpaired else None,
    )


def _pairs(pairs: list[Document], unit: str, by: str) -> Group:
    over = "photos" if pairs[0]["mean"] == "micro" else unit
    rows = [
        (
            f"{pair['second']} - {pair['first']} ({pair[unit]} {unit})",
            f"{100 * pair['drop']['difference']:+.2f}",
            interval(pair["drop"]["interval"]),
            f"{pair['drop'][f'{unit}_up']}:{pair['drop'][f'{unit}_down']}",
            f"{pair['drop']['sign_test_p']:.3g}",
        )
        for pair in pairs
    ]
    head = f"{by}, second minus first, means over {over}"
    return table(None, (head, "drop %", "95% interval", "up:down", "sign test p"), rows)


def composition_table(document: Document) -> Group:
    """Counts of the composites of each class."""
    rows = [
        (_folder(c), c["objects"], *(", ".join(f"{name} {n}" for name, n in c[group].items()) for group in GROUPS))
        for c in document["classes"]
    ]
    made = f"{document['composites']} composites of {document['settings']['size']} pixels"
    before = f", {document['kept']} of them by an earlier run" if document["kept"] else ""
    return screen(
        table(document["output"], ("class", "cut-outs", "common (photos)", "counter (photos)"), rows),
        made + before,
        *(dim(f"stray: {path}") for path in document["strays"]),
    )


def discovery_table(document: Document) -> Group:
    """Selected backgrounds with naive and honest drops."""
    rows = [
        (
            c["class_index"],
            c["folder"],
            *(f"{c[f'{g}_background']} {percent(c[g])} ({c[f'n_{g}']})" for g in GROUPS),
            percent(c["naive_drop"]),
            percent(c["honest_drop"]),
            *(f"{c[k]:.2g}" for k in ("p_value", "p_holm", "p_bh")),
        )
        for c in document["classes"]
    ]
    heads = ("class", "folder", "common", "counter", "naive drop %", "honest drop %", "p", "p (Holm)", "p (BH)")
    left_out, least = len(document["left_out"]), f"{document['least_p_holm']:.2g}"
    effects = f"{document['background_effects']} of {len(rows)} classes show an effect of the background"
    left = f"{left_out} classes without two backgrounds of {document['min_photos']} photos were left out"
    return screen(
        table(None, heads, rows),
        *(
            f"{word} drop: {percent(document[word]['drop'])} ({interval(document[word]['interval'])})"
            for word in ("naive", "honest")
        ),
        f"{effects} (Holm's p below .05); {document['permutations']} permutations allow p = {least} at best",
        warning(left) if left_out else None,
    )


def law_table(document: Document) -> Group:
    """Verdicts with predictions and measurements, then each model's reliance and drop."""
    models, predictions, reliances, reasons, unmeasured = document["models"], [], [], [], []
    for m in models:
        rms, t, ends = m["law"]["rms"], m["reliance"]["t"], m["reliance"]["interval"]
        groups = (f"{percent(g['predicted'])} : {percent(g['measured'])}" for g in m["law"]["groups"].values())
        verdict = Text(m["verdict"], style=VERDICT_STYLES[m["verdict"]])
        predictions.append((m["model"], verdict, *groups, f"{percent(rms['value'])} ({interval(rms['bounds'])})"))
        estimate = "none" if t is None else f"{t:.2f}" + (f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else "")
        reliances.append((m["model"], estimate, percent(m["drop"])))
        reasons.append(f"{m['model']}: {m['reason']}")
        if m["photos_without_cell"]:
            photos = f"{m['model']}: {m['photos_without_cell']} photos are not measured"
            unmeasured.append(f"{photos}: their class lacks a group, or their background has one photo")
    ranking, tolerance = document["ranking"], f"tolerance {100 * document['tolerance']:g} points"
    ranked = f"t ranks models as the drop does: {ranking['verdict']} (n = {ranking['models']})"
    if ranking["tau"] is not None:
        ranked = f"{ranked[:-1]}, Kendall's tau {ranking['tau']:+.2f}, exact p = {ranking['p']:.2g}, "
        ranked += f"error rate {ranking['alpha']:g})"
    heads = ("model", "verdict", ">common", ">counter", ">off a class")
    return screen(
        f"claim: {document['statement']}",
        table("Predicted : measured, %", heads, predictions),
        *reasons,
        "off a class: root mean square over classes and groups, beyond sampling error",
        f"{tolerance}; if the law holds, it is contradicted with probability {document['alpha']:g} at most",
        *map(warning, unmeasured),
        table("Reliance on the background", ("model", ">t (95%)", ">drop %"), reliances),
        "t: effect of backgrounds over that of classes, on a class's score (95%), from the fitted half",
        "drop: common - counter, on the other half",
        ranked,
    )
