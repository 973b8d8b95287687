"""`soberclip embeddings`: how much models rely on the background, from files of their
embeddings.
"""

from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Group

from experiments.command.options import Json, Seed, Verbose, flag, own_folder
from experiments.command.output import emit, warning
from experiments.files import PAGE_FILES
from experiments.heads import tables
from simulator.progress import say

FILES = (*PAGE_FILES, "result.json")


# main.py has its help text.
def embeddings(
    *files: flag(
        Path,
        "one per model: .npz or .safetensors, with the arrays image, label, group or background,"
        " and optionally text (prompt embeddings, class means or a classifier's weights),"
        " text_background, caption, split, names",
    ),
    seed: Seed = 0,
    output: own_folder(
        "embeddings", FILES, "folder for embeddings.html, embeddings.csv and result.json"
    ) = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    from experiments.heads.pages import write_files
    from experiments.heads.reliance import answer_files

    document = answer_files(files, seed, say)
    emit(document, json, partial(reliance_screen, verbose=verbose), output)
    if output is not None:
        write_files(output, document)


def reliance_screen(document: dict[str, Any], verbose: bool) -> Group:
    """The answer for each model, below their order by p'; heads, fixes and assumptions with
    `verbose`.
    """
    models = document["models"]
    parts = list[Any]()
    if len(models) > 1:
        by_p, by_r = document["ranking"].values()
        words = f"{models[0]['heads'][0]['head']} in order of"
        parts += [f"{words} p′: {tables.in_order(by_p, document)}", f"{words} r: {', '.join(by_r)}"]
    for model in models:
        first = model["heads"][0]
        parts.append(tables.answer(f"{first['head']} of {model['model']}", first))
        rows = tables.rows_measured(model)
        share = tables.data_share(model)
        if not verbose:
            parts += [*tables.in_short(model), tables.best_fix(model), share, rows]
            continue
        parts += [tables.heads_table(model), rows, share, tables.detail(model["detail"])]
        if model["fixes"]:
            parts += ["gains of fixes over zero-shot, in points", tables.fixes_table(model)]
    parts += [
        warning(f"{one['model']} has no p′: {one['equivalent_lacks']}")
        for one in document["equivalent_lacks"]
    ]
    more = (
        models[0]["assumptions"]
        if verbose
        else ["--verbose prints all heads and fixes, and what is assumed"]
    )
    return Group(*filter(None, parts), *more)
