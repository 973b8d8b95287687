"""Documents as rich tables, for people: every table that a verb prints. Accuracies and drops in percent.

Nothing is cropped: long cells wrap, ids stay whole.
"""

from collections import Counter
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from experiments.lab.words import counted, duration
from experiments.page.evidence import by_verdict, claimed, how, measured, place, tally

VERDICT_STYLES = {
    "proved": "bold green",
    "supported": "green",
    "contradicted": "red",
    "undecided": "yellow",
    "refused": "yellow",
}
CERTIFICATE_STYLES = {"proved": "green", "refuted": "red", "refused": "yellow"}


def accuracy_table(document: dict[str, Any]) -> Table:
    """Result of predict, simulate or train: measured (with interval) beside predicted where there are both."""
    prompt = f", {document['prompt']} prompt" if document["prompt"] else ""
    table = Table(title=f"{document['learner']}{prompt}", title_justify="left", caption_justify="left")
    table.add_column("group")
    simulated = "replicates" in document
    if simulated:
        table.title += f", n = {document['n']:.3g}, {len(document['replicates'])} replicates, {document['method']}"
        table.add_column("measured %", justify="right")
        table.add_column("95% interval", justify="right")
    table.add_column("predicted %", justify="right")
    predicted = document.get("predicted") if simulated else document
    interval = document.get("interval95") or {}
    for group in ("common", "counter", "balanced", "drop"):
        cells = [group]
        if simulated:
            ends = interval.get(group)
            cells += [_percent(document[group]), f"{_percent(ends[0])} to {_percent(ends[1])}" if ends else ""]
        cells.append(_percent(predicted[group]) if predicted else "none")
        table.add_row(*cells)
    table.caption = _noise(document["world"])
    if document.get("reliance") is not None:
        table.caption += f"\nreliance (weight on background per weight on object): {document['reliance']:.4f}"
    return table


def _noise(world: dict[str, Any]) -> str:
    """View noise a coordinate, which decides what InfoNCE learns; images and texts apart where they differ."""
    from simulator.world import World

    image, text = (float(nu) for nu in (World(**world).nu_image, World(**world).nu_text))
    return f"view noise ν = {image:.4g}" + ("" if image == text else f" (images), {text:.4g} (texts)")


def sweep_table(document: dict[str, Any]) -> Group:
    """Where the accuracies of a study lie, a row a learner as it is asked; where the numbers are."""
    sizes = " x ".join(f"{name} {size}" for name, size in document["dimensions"].items())
    table = Table(title=f"{counted(document['cells'], 'cell')}: {sizes}", title_justify="left")
    several = "route" in document["dimensions"]
    for name in ("learner", "prompt", *(("route",) if several else ())):
        table.add_column(name)
    for name in ("common %", "counter %", "undefined"):
        table.add_column(name, justify="right")
    why: Counter[tuple[str, str]] = Counter()
    for one in document["ranges"]:
        cells = [one["learner"], one["prompt"], *((one["route"],) if several else ())]
        for name in ("common", "counter"):
            cells.append(f"{_percent(one[name][0])} to {_percent(one[name][1])}" if one[name] else "none")
        table.add_row(*cells, str(sum(one["undefined"].values()) or ""))
        why.update({(one.get("route", ""), sentence): count for sentence, count in one["undefined"].items()})
        if one.get("route") == document["ranges"][0].get("route"):  # the theory is the same beside every route
            unpredicted = one.get("predicted_undefined", {})
            why.update({("theory", sentence): count for sentence, count in unpredicted.items()})
    lines = [
        Text(f"{count} undefined{f' ({route})' if route else ''}: {sentence}", style="yellow")
        for (route, sentence), count in why.items()
    ]
    kept = (
        f"numbers: {document['output']}" if document["output"] else "nothing was kept: -o PATH.zarr keeps the numbers"
    )
    if document["design"] is not None:
        lines += [Text(document["design"]["look"]), Text(f"The quick size says: {document['design']['answer']}")]
    return _folded(table, *lines, Text(kept, style="dim"))


def designs_table(document: list[dict[str, Any]]) -> Group:
    """The designs, a block each: sizes, then the question."""
    lines: list[RenderableType] = []
    for row in document:
        sizes = [f"{name} {row[name]['cells']:,} cells, {duration(row[name]['seconds'])}" for name in ("quick", "full")]
        lines += [Text.assemble((row["design"], "bold"), "  ", ("; ".join(sizes), "dim")), _indented(row["question"])]
    note = "Times were taken on one core; soberclip sweep NAME --dry-run asks this one."
    return Group(*lines, Text(note, style="dim"))


def claims_table(document: list[dict[str, Any]]) -> Group:
    """The catalogue, a block a claim."""
    lines: list[RenderableType] = []
    for row in document:
        lines += [Text.assemble((row["claim"], "bold"), "  ", (row["source"], "dim")), _indented(row["statement"])]
    return Group(*lines)


def verdict_table(document: list[dict[str, Any]]) -> Group:
    """Verdicts, each with its relation, numbers, interval and point below it; --json has the rest."""
    lines: list[RenderableType] = []
    for row in document:
        term, where = place(row)
        parts = [f"claimed {claimed(row)}", f"measured {measured(row)}", f"{term} {where}" if term else ""]
        parts.append(f"{row['route']}, n = {row['n']:.4g}; {how(row)}" if row["route"] else how(row))
        if row["verdict"] not in ("supported", "contradicted") or row.get("proof"):
            why = row.get("reason", "")  # the papers' tables decide, or do not, without one
            parts = [why] if row["route"] is None else [why, *parts]
        style = VERDICT_STYLES[row["verdict"]]
        lines.append(Text.assemble((f"{row['verdict']:<13}", style), (row["claim"], "bold")))
        lines.append(_indented("; ".join(part for part in parts if part)))
    return Group(*lines, Text(f"{by_verdict(document)}. {' '.join(tally(document))}"))


def certificate_table(document: list[dict[str, Any]]) -> Group:
    """What the checker says of each certificate."""
    lines: list[RenderableType] = []
    for row in document:
        word = "refused" if row["refused"] else row["shows"]
        said = (
            row["refused"] or f"{row['boxes']} boxes checked" if row["boxes"] or row["refused"] else "checked exactly"
        )
        lines.append(Text.assemble((f"{word:<13}", CERTIFICATE_STYLES[word]), (row["claim"] or row["file"], "bold")))
        lines.append(_indented(f"{row['file']}: {said}, in {row['seconds']:.2g} s"))
    counts = Counter("refused" if row["refused"] else row["shows"] for row in document)
    return Group(*lines, Text(", ".join(f"{n} {word}" for word, n in counts.items()) + "."))


def _indented(words: str) -> Padding:
    return Padding(Text(words), (0, 0, 0, 4), expand=False)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def plotted(document: dict[str, Any]) -> Text:
    """Result of plot: the file, and what it shows."""
    panels = len(document["panels"])
    over = " and ".join(axis["name"] for axis in document["axes"])
    shown = f"{document['what']}{f' over {over}' if over else ''}, {panels} panel{'s' if panels > 1 else ''}"
    missing = document["cells"] - document["computed"]
    return Text(
        f"{document['output']}: {shown}" + (f"; {missing} of {document['cells']} cells missing" if missing else "")
    )


# Real models on real photos.


def _folded(*parts: Any) -> Group:
    """Parts of a screen, in whose tables what is too wide goes on in the next line: nothing is cut off."""
    for part in parts:
        for column in part.columns if isinstance(part, Table) else ():
            column.overflow = "fold"
    return Group(*parts)


def _range(ends: list | tuple | None) -> str:
    return "no interval" if ends is None else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


def _indexed(folder: str, index: int) -> str:
    return folder if folder.split(" ")[0] == str(index) else f"{folder} ({index})"


def inspection_view(document: dict[str, Any]) -> Group:
    """Counts beside the published ones, then what is wrong with the tree."""
    table = Table("class", title=Text(document["root"]), title_justify="left")
    for group in ("common", "counter"):
        table.add_column(f"{group} (published)", justify="right")
        table.add_column("backgrounds")
    for c in document["classes"]:
        cells = [Text(_indexed(c["folder"], c["class_index"]))]
        for group in ("common", "counter"):
            printed, found = c[f"published_{group}"], c[f"n_{group}"]
            known = f"{found}" if printed is None else f"{found} ({printed})"
            cells.append(Text(known, style="" if printed in (None, found) else "yellow"))
            cells.append(Text(", ".join(f"{name or 'unnamed'} {n}" for name, n in c["backgrounds"][group].items())))
        table.add_row(*cells)
    totals = (
        f"{document['n_classes']} classes, {document['n_common']} common and {document['n_counter']} counter photos "
        f"(published: 45, {document['published_n_common']}, {document['published_n_counter']})"
    )
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
    return _folded(table, *notes)


def summary_view(documents: list[dict[str, Any]]) -> Group:
    """Both means of each model, its worst classes, and where it would stand among the published models."""
    parts: list[Any] = []
    for document in documents:
        table = Table("mean over", title=Text(document["model"]), title_justify="left")
        for name in ("common", "counter", "drop"):
            table.add_column(f"{name} % ({document['level']:.0%})", justify="right")
        for mean, over in (("macro", "classes (macro)"), ("micro", "photos (micro)")):
            cells = [over]
            for name in ("common", "counter", "drop"):
                cells.append(f"{_percent(document[mean][name])} ({_range(document['intervals'][mean][name])})")
            table.add_row(*cells)
        parts.append(table)
        counts = document["counts"]
        parts.append(
            Text(f"{counts['classes']} classes, {counts['common']} common and {counts['counter']} counter photos")
        )
        for index in counts["left_out_classes"]:
            parts.append(Text(f"class {index} has an empty group and is left out of all means", style="yellow"))
        if document.get("skipped"):
            parts.append(Text(f"{len(document['skipped'])} unreadable photos were left out", style="yellow"))
        if document.get("unanswered"):
            said = f"{document['unanswered']} photos got no finite score and count as wrong"
            parts.append(Text(said, style="yellow"))
        worst = ", ".join(f"{c['class_index']} {_percent(c['drop'])}" for c in document["worst_classes"])
        parts.append(Text(f"largest drops by class: {worst}"))
        parts += _standing(document.get("standing"))
    return _folded(*parts)


def _standing(place: dict[str, Any] | None) -> list[Text]:
    """Where a model stands among the published ones, in words; nothing where none were published."""
    if place is None:
        return []
    over = [
        f"{100 * value:+.1f} over the {family} line" + (" (extrapolated)" if family in place["extrapolated"] else "")
        for family, value in place["effective_robustness"].items()
    ]
    drop = "not ranked, since no published model knows so little"
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
            f"the paper prints common {_percent(printed['common'])}, counter {_percent(printed['counter'])} for this "
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
        title="What does not add up",
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
    return _folded(
        claims, audit, models, Text(f"{len(document['table'])} printed figures; {len(document['audit'])} findings")
    )


def comparison_view(document: dict[str, Any]) -> Group:
    """Rows with effective robustness on logit axes (the other axes are in the files), then pairs."""
    table = Table("model", "common %", "counter %", "drop %")
    if document["reference"]:
        table.add_column(f"over the {document['reference']} line, logit", justify="right")
    marks = set()
    for r in sorted(document["rows"], key=lambda r: -r["counter"]):
        cells = [_percent(r[k]) for k in ("common", "counter", "drop")]
        if r["effective_robustness"] is not None:
            over = r["effective_robustness"]["logit"]
            mark = ("*" if over["interval_of"] == "line" else "") + ("†" if over["extrapolated"] else "")
            marks |= set(mark)
            cells.append(f"{100 * over['value']:+.2f} ({_range(over['interval'])}){mark}")
        table.add_row(Text(r["model"]), *cells)
    notes = []
    if document["reference"]:
        notes.append(Text("over the line: 95% interval of line and model"))
    if "*" in marks:
        notes.append(Text("* of the line alone: the model's own error is not known"))
    if "†" in marks:
        notes.append(Text("† extrapolated: no model of the line has such a common accuracy"))
    parts: list[Any] = [table, *notes]
    if document["pairs"]:
        pairs = Table("class by class, second minus first", "drop %", "95% interval", "up:down", "sign test p")
        for p in document["pairs"]:
            d = p["drop"]
            pairs.add_row(
                Text(f"{p['second']} - {p['first']} ({p['classes']} classes)"),
                f"{100 * d['difference']:+.2f}",
                _range(d["interval"]),
                f"{d['classes_up']}:{d['classes_down']}",
                f"{d['sign_test_p']:.3g}",
            )
        parts.append(pairs)
    return _folded(*parts)


def discovery_view(document: dict[str, Any]) -> Group:
    """Chosen backgrounds with naive and honest drops."""
    table = Table("class", "folder", "common", "counter", "naive drop %", "honest drop %", "p", "p (Holm)", "p (BH)")
    for c in document["classes"]:
        table.add_row(
            str(c["class_index"]),
            Text(c["folder"]),
            Text(f"{c['common_background']} {_percent(c['common'])} ({c['n_common']})"),
            Text(f"{c['counter_background']} {_percent(c['counter'])} ({c['n_counter']})"),
            _percent(c["naive_drop"]),
            _percent(c["honest_drop"]),
            *(f"{c[k]:.2g}" for k in ("p_value", "p_holm", "p_bh")),
        )
    lines = [
        Text(f"{word} drop: {_percent(document[word]['drop'])} ({_range(document[word]['interval'])})")
        for word in ("naive", "honest")
    ]
    effects, least = document["background_effects"], document["least_p_holm"]
    said = f"{effects} of {len(document['classes'])} classes show an effect of the background (p by Holm below .05)"
    lines.append(Text(f"{said}; {document['permutations']} permutations could show p = {least:.2g}"))
    left = (
        f"{len(document['left_out'])} classes without two backgrounds of {document['min_photos']} photos were left out"
    )
    return _folded(table, *lines, *([Text(left, style="yellow")] if document["left_out"] else []))
