"""What predict, simulate, train and show print."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from experiments.command.screens.parts import percent
from experiments.lab.answers import GROUPS
from experiments.lab.words import counted
from simulator.pixels.views import Pixels
from simulator.world import World

NOTABLE = 0.005  # share of unseen images that is worth a line


def accuracy_table(document: dict[str, Any]) -> Group:
    """Result of predict, simulate or train: measured (with interval) beside predicted where there are both."""
    table = Table("group")
    simulated = "replicates" in document
    for name in ("measured %", "95% interval") if simulated else ():
        table.add_column(name, justify="right")
    table.add_column("predicted %", justify="right")
    predicted = document.get("predicted") if simulated else document
    interval = document.get("interval95") or {}
    for group in (*interval, *(name for name in GROUPS if name not in interval)):
        cells = [group]
        if simulated:
            ends = interval.get(group)
            cells += [percent(document[group]), f"{percent(ends[0])} to {percent(ends[1])}" if ends else ""]
        cells.append(percent(predicted[group]) if predicted and group in predicted else "none")
        table.add_row(*cells)
    # Beside the table rather than its title and caption, which rich would fold to the table's width.
    return Group(Text(_trained(document)), table, *map(Text, _remarks(document)))


def _trained(document: dict[str, Any]) -> str:
    """What was trained, how it was asked, and on how much."""
    parts = [document["learner"]]
    if document["prompt"]:
        parts.append(f"{document['prompt']} prompt")
    if "mitigation" in document:
        parts.append(document["mitigation"])
    if "replicates" in document:
        parts += [f"n = {document['n']:.3g}", counted(len(document["replicates"]), "replicate"), document["method"]]
    return ", ".join(parts)


def _remarks(document: dict[str, Any]) -> Iterator[str]:
    """What the accuracies hold for and what else was found, a line each."""
    yield _seen(document["world"])
    if document.get("reliance") is not None:
        yield f"reliance (weight on background per weight on object): {document['reliance']:.4f}"
    unseen = document.get("prompts", {}).get(document["prompt"], {}).get("unseen")
    if unseen is not None and unseen["counter"] >= NOTABLE:
        yield (
            f"{percent(unseen['counter'])} % of the counter images are like no pair of this run, and towers cannot "
            f"know them; {unseen['pairs_needed']:.2g} pairs would leave 1 %"
        )
    yield from _covariances(document)
    if document.get("bridge"):
        lost = {one["model"] for one in document["diverged"]}
        going = {n: [v for k, v in enumerate(values) if k not in lost] for n, values in document["bridge"].items()}
        mean = {name: sum(values) / len(values) for name, values in going.items()}
        yield (
            f"embeddings have mu/sigma {mean['mu_inv']:.1f} by object and {mean['mu_spu']:.1f} by attribute; "
            f"a Gaussian world of these has Rand {percent(mean['rand'])} % and Rev {percent(mean['rev'])} %"
        )
    if "arrived" in document:
        steps = document["trace"][-1]["step"]
        found = f"arrived after {steps} steps" if document["arrived"] else f"still moving after {steps} steps"
        yield f"{found}: --until {document['until']:g} of movement while steps double"


def _covariances(document: dict[str, Any]) -> Iterator[str]:
    """That towers are off their law, and nearer to the Gaussian PMI on both groups."""
    known, law = document.get("prompts", {}).get(document["prompt"], {}).get("covariances"), document.get("predicted")
    if not known or not law:
        return
    off = [(abs(document[group] - known[group]), abs(document[group] - law[group])) for group in ("common", "counter")]
    if all(near < far for near, far in off) and max(far for _, far in off) >= NOTABLE:
        yield (
            f"nearer to the Gaussian PMI ({percent(known['common'])} and {percent(known['counter'])} %), which knows "
            "covariances and no classes: these towers have learned little more"
        )


def shown(document: dict[str, Any]) -> Text:
    """Result of show: the file, and what it shows."""
    if document["kind"] == "latents":
        rules = ", ".join(document["rules"]) or "none"
        return Text(f"{document['output']}: latents of {document['pairs']} pairs; rules with an answer: {rules}")
    parts = ", ".join(f"{count} {part}" for part, count in document["objects"].items())
    rows = len({image["label"] for image in document["images"]})
    shown = f"{rows} of {document['classes']} classes, {len(document['images'])} images of test objects"
    return Text(f"{document['output']}: {shown}; objects: {parts}")


def _seen(world: dict[str, Any]) -> str:
    """How the world is seen: view noise a coordinate, which decides what InfoNCE learns, or what pixels show."""
    if world.get("views"):
        return Pixels(**world["views"]).words
    image, text = (float(nu) for nu in (World(**world).nu_image, World(**world).nu_text))
    return f"view noise ν = {image:.4g}" + ("" if image == text else f" (images), {text:.4g} (texts)")
