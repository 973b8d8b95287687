"""The printed figures of [W] (Wang et al., arXiv 2403.11497 v1) as data: raw cells, one tidy table,
rows.

Raw cells stay strings with the printed digits, because the audit needs to know how they were
rounded. Everything else converts percent to fractions. `published/README.md` says which table each
file holds.
"""

import csv
import io
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from experiments.errors import RequestError
from experiments.results import QUANTITIES, Row
from simulator.naming import suggestion

Raw = dict[str, list[dict[str, str]]]  # file name -> rows of cells as printed


@dataclass(frozen=True)
class PrintedTable:
    """A table of group accuracies and its protocol."""

    file: str
    number: int
    family: str
    labels: str = "1000"
    prompt: str | None = "simple"
    mean: str | None = "macro"


# Tables with two accuracies and a drop per row; the caption states the protocol.
GROUP_TABLES = (
    PrintedTable("clip_1v1000.csv", 3, "CLIP"),
    PrintedTable("imagenet_1v1000.csv", 4, "ImageNet", prompt=None),
    PrintedTable("lvlm_1v20.csv", 5, "LVLM", labels="20"),
    PrintedTable("clip_other_checkpoints_1v1000.csv", 9, "CLIP"),
    PrintedTable("clip_openai_prompts_1v1000.csv", 10, "CLIP", prompt="openai80"),
    PrintedTable("clip_unbalanced_1v1000.csv", 11, "CLIP", mean="micro"),
    PrintedTable("imagenet_unbalanced_1v1000.csv", 12, "ImageNet", prompt=None, mean="micro"),
    PrintedTable("clip_1v20.csv", 13, "CLIP", labels="20"),
    PrintedTable("imagenet_1v20.csv", 14, "ImageNet", labels="20", prompt=None),
)
CLASS_TABLES = (
    PrintedTable("classwise_backbones.csv", 15, "CLIP", mean=None),
    PrintedTable("classwise_datasets.csv", 16, "CLIP", mean=None),
)
TABLE_OF = {table.number: table for table in GROUP_TABLES + CLASS_TABLES}
COCO, MNIST = "colored_coco.csv", "multicolored_mnist.csv"  # Tables 7 and 8: other data sets
OTHERS = (  # with the columns that say which setting
    (7, COCO, ("backbone", "pretrain_dataset", "approach")),
    (8, MNIST, ("n_classes", "n_samples", "p_inv", "p_spu", "train_method")),
)
CLASSES, STATED, CHECKPOINTS = "classes.csv", "stated.csv", "clip_checkpoints.csv"
MAP, SINCE = "open_clip_map.csv", "since.csv"
PRINTED = {"printed": "mean", "printed_deviation": "std"}
HIGH_QUALITY = ("DataComp", "DFN")  # pretraining sets that the paper marks with an asterisk
# Table 8's words, and the names here
METHODS = {"Contrastive": "perfect-captions", "Supervised": "supervised"}
DIGIT_GROUPS = {"rand": "class01_rand", "rev": "class01_rev", "rest": "rest"}


def coloured_objects() -> list[dict[str, Any]]:
    """Table 7 as fractions: backbone, learner, group (trained: in distribution, rev: out of it),
    printed accuracy.
    """
    return [
        {
            "backbone": row["backbone"],
            "learner": row["approach"].replace(" ", "-"),
            "group": group,
            "printed": float(row[column]) / 100,
        }
        for row in read_published()[COCO]
        for group, column in (("trained", "in_distribution"), ("rev", "out_of_distribution"))
    ]


def coloured_digits() -> list[dict[str, Any]]:
    """Table 8 as fractions: classes, p_inv, p_spu, learner, group, printed mean and deviation over
    trainings.
    """
    rows = []
    for row in read_published()[MNIST]:
        setting = {
            "classes": int(row["n_classes"]),
            "p_inv": float(row["p_inv"]),
            "p_spu": float(row["p_spu"]),
        }
        for group, column in DIGIT_GROUPS.items():
            if row[f"{column}_mean"]:
                printed = {
                    name: float(row[f"{column}_{end}"]) / 100 for name, end in PRINTED.items()
                }
                rows.append(
                    {**setting, "learner": METHODS[row["train_method"]], "group": group, **printed}
                )
    return rows


def read_published() -> Raw:
    """Every published file as lists of cells; a new copy, which a caller may edit."""
    folder = files("experiments.published")
    texts = {
        file.name: file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".csv")
    }
    return {name: list(csv.DictReader(io.StringIO(texts[name]))) for name in sorted(texts)}


def model_name(table: PrintedTable, row: dict[str, str]) -> str:
    """One name for a model in all tables, as Tables 5, 15 and 16 write it:
    CLIP-LAION2B-ViT/B/32.
    """
    if "model" in row:
        return row["model"]
    if table.family == "ImageNet":
        return f"ImageNet-{row['backbone']}"
    return f"CLIP-{row['pretrain_dataset']}-{row['backbone']}"


def family_of(name: str) -> str:
    """CLIP, ImageNet or LVLM, from the name."""
    prefix = name.split("-")[0]
    return prefix if prefix in ("CLIP", "ImageNet") else "LVLM"


def _row(cells: dict[str, str], **further) -> Row:
    return Row(
        common=float(cells["common"]) / 100, counter=float(cells["counter"]) / 100, **further
    )


@cache
def published_rows(
    labels: str = "1000", prompt: str = "simple", mean: str = "macro"
) -> tuple[Row, ...]:
    """The rows of a protocol, with models that have no prompt; empty if the paper prints none for
    CLIPs.

    Left out: Table 9, and the CLIPs of Table 5, which repeat Table 3 under a caption that says 20
    labels.
    """
    raw = read_published()
    rows = []
    for table in GROUP_TABLES:
        if table.number == 9 or (table.labels, table.mean) != (labels, mean):
            continue
        source = {"source": f"[W] Table {table.number}", "labels": labels, "mean": mean}
        for cells in raw[table.file]:
            name = model_name(table, cells)
            family = family_of(name)
            prompt_of = table.prompt if family == "CLIP" else None
            if prompt_of in (None, prompt) and not (table.number == 5 and family == "CLIP"):
                rows.append(_row(cells, **source, model=name, family=family, prompt=prompt_of))
    return tuple(rows) if any(row.family == "CLIP" for row in rows) else ()


@cache
def later_work_rows() -> tuple[tuple[Row, str], ...]:
    """Rows that others printed after [W], each with its protocol in words; no line is fitted to
    them.
    """
    names = ("source", "model", "family", "labels", "mean")
    rows = read_published()[SINCE]
    return tuple(
        (_row(cells, **{name: cells[name] for name in names}), cells["protocol"]) for cells in rows
    )


@dataclass(frozen=True)
class PublishedClass:
    """One of the 45 classes as Table 2 and Figure 3 print it."""

    class_id: int
    name: str
    index: int  # ImageNet-1k, 0-based
    backgrounds: tuple[str, str]
    photos: tuple[int, int]  # (common, counter)


@cache
def published_classes() -> tuple[PublishedClass, ...]:
    """The 45 classes in printed order."""
    return tuple(
        PublishedClass(
            int(r["class_id"]),
            r["name"],
            int(r["imagenet_index"]),
            (r["common_background"], r["counter_background"]),
            (int(r["n_common"]), int(r["n_counter"])),
        )
        for r in read_published()[CLASSES]
    )


@cache
def classwise(model: str) -> dict[int, tuple[float, float]] | None:
    """ImageNet index -> (common, counter) of a model in Tables 15-16, None for a model without
    class figures.
    """
    raw = read_published()
    index = {row["class_id"]: int(row["imagenet_index"]) for row in raw[CLASSES]}
    tables = [[row for row in raw[table.file] if row["model"] == model] for table in CLASS_TABLES]
    rows = next(filter(None, tables), [])
    return {
        index[r["class_id"]]: (float(r["common"]) / 100, float(r["counter"]) / 100) for r in rows
    } or None


@cache
def checkpoints() -> tuple[dict[str, Any], ...]:
    """The open_clip weights of each row of Table 3, in its order.

    `quick_gelu` is the activation that they were trained with. `stated` is False for an inference
    of ours: Table 6 does not name the checkpoint.
    """
    return tuple(
        {
            "model": model_name(TABLE_OF[3], cells),
            "spec": f"open_clip:{cells['open_clip_model']}/{cells['open_clip_pretrained']}",
            "quick_gelu": cells["tag_quick_gelu"] == "1",
            "stated": cells["in_table6"] == "1",
        }
        for cells in read_published()[MAP]
    )


def checkpoint_spec(spec: str) -> str:
    """The checkpoint of "published:MODEL", a row of Table 3; any other specification unchanged."""
    kind, _, name = spec.partition(":")
    if kind != "published":
        return spec
    specs = {c["model"]: c["spec"] for c in checkpoints()}
    if name not in specs:
        raise RequestError(
            f"model {name!r} is not in Table 3{suggestion(name, specs, quoted=True)}"
        )
    return specs[name]


def tidy(raw: Raw) -> list[dict[str, Any]]:
    """Every printed number in long form, one record per cell: `printed` are the digits, `value` is
    the fraction.
    """
    # table, file, row, printed cells, the rest
    rows: list[tuple[int, str, int, dict[str, str], dict[str, Any]]] = []
    for table in GROUP_TABLES + CLASS_TABLES:
        for row, cells in enumerate(raw[table.file], start=1):
            name = model_name(table, cells)
            source = {
                "model": name,
                "family": family_of(name),
                "labels": table.labels,
                "prompt": table.prompt if family_of(name) != "ImageNet" else None,
                "mean": table.mean,
                "class_id": int(cells["class_id"]) if "class_id" in cells else None,
                "setting": cells.get("checkpoint"),
            }
            rows.append(
                (table.number, table.file, row, {name: cells[name] for name in QUANTITIES}, source)
            )
    for number, file, keys in OTHERS:
        for row, cells in enumerate(raw[file], start=1):
            printed = {name: text for name, text in cells.items() if name not in keys}
            rows.append(
                (
                    number,
                    file,
                    row,
                    printed,
                    {"setting": ", ".join(f"{key} {cells[key]}" for key in keys)},
                )
            )
    for row, cells in enumerate(raw[CLASSES], start=1):
        printed = {name: cells[name] for name in ("n_common", "n_counter")}
        rows.append(
            (
                2,
                CLASSES,
                row,
                printed,
                {"class_id": int(cells["class_id"]), "setting": cells["name"]},
            )
        )
    unknown = dict.fromkeys(("model", "family", "labels", "prompt", "mean", "class_id", "setting"))
    return [
        {"table": number, "file": file, "row": row, **unknown, **source}
        | {
            "quantity": name,
            "printed": text,
            "value": float(text) / (1 if file == CLASSES else 100),
        }
        for number, file, row, printed, source in rows
        for name, text in printed.items()
        if text != ""
    ]
