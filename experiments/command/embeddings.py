"""`soberclip embeddings`: how much models rely on the background, from files of their embeddings.

Functions import what they need when they run, for start-up time.
"""

from pathlib import Path
from typing import Any

from rich.console import Group

from experiments.command.options import Json, Seed, flag, own_folder
from experiments.command.output import emit, warning
from experiments.counteranimal.tables import data_share, detail, fixes_table, heads_table, in_order, needed
from experiments.files import PAGE_FILES
from experiments.results import FEWEST, too_few
from simulator.progress import say


# main.py has its help text.
def embeddings(
    *files: flag(
        Path,
        "one per model: .npz or .safetensors, with the arrays image, label, group or background, and optionally text "
        "(prompt embeddings, class means or a classifier's weights), text_background, caption, split, names",
    ),
    seed: Seed = 0,
    output: own_folder(
        "embeddings", (*PAGE_FILES, "result.json"), "folder for embeddings.html, embeddings.csv and result.json"
    ) = None,
    json: Json = False,
) -> None:
    from experiments.counteranimal.reliance import answer_files
    from experiments.counteranimal.reliance_page import write_files

    document = answer_files(files, seed, say)
    emit(document, json, reliance_screen, output)
    if output is not None:
        write_files(output, document)


def reliance_screen(document: dict[str, Any]) -> Group:
    """Heads and fixes of each model; several models also in order of p' and r."""
    models = document["models"]
    parts = [part for model in models for part in _reliance(model) if part is not None]
    if len(models) > 1:
        by_p, by_r = document["ranking"].values()
        words = zip(("p′", "r"), (in_order(by_p, document), ", ".join(by_r)), strict=True)
        parts += [f"{models[0]['heads'][0]['head']} in order of {name}: {order}" for name, order in words]
    parts += [warning(f"{one['model']} has no p′: {one['equivalent_lacks']}") for one in document["equivalent_lacks"]]
    return Group(*parts, *models[0]["assumptions"])


def _reliance(model: dict[str, Any]) -> list[Any]:
    first, law, measured = model["heads"][0], model["gaussian_law"], model["rows_measured"]
    known = f"{model['rows']} embeddings of {model['dimensions']} dimensions, {model['classes']} classes; "
    known += f"{measured['common']} common and {measured['counter']} counter photos measured; 95% intervals over photos"
    if model["classes"] < FEWEST:
        known += f": {too_few(model['classes'])}"
    inside = model["predictions_inside"]
    fixes = ()
    if model["fixes"]:
        found = f"{inside['inside']} of {inside['of']} gains on other photos lie in the predicted intervals"
        found += ", * outside" * (inside["inside"] < inside["of"])
        fixes = ("gains of fixes over zero-shot, in points", fixes_table(model), found)
    return [
        model["model"],
        heads_table(model),
        known,
        data_share(model),
        needed(first, first["head"]),
        detail(model["detail"]),
        *fixes,
        f"the Gaussian law of the scores of {first['head']} is {law['verdict']}: {law['reason']}",
    ]
