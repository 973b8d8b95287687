"""The folder of a training run.

run.json                 format, specification, its hash, versions, device: written before the first step
checkpoint.safetensors   the state at the last checkpoint, from which training resumes bit by bit, and its checksum
history.json             the measures of each checkpoint so far, and of further steps on request
weights.safetensors      the final parameters
result.json              the document that `soberclip train --json` prints
history.csv, .zarr       the history of every model with its p' and r, on request (`experiments.lab.history`)
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from experiments.errors import RequestError
from experiments.files import RUN_FILES, output_folder, write_atomically, write_json
from experiments.lab.config import check_same, check_versions
from experiments.provenance import provenance, source
from experiments.runtime import device_name
from simulator.towers.ensemble import Ensemble
from simulator.towers.layers import Parameters
from simulator.towers.training import State
from simulator.world import World

RUN, CHECKPOINT, HISTORY, WEIGHTS, RESULT, HISTORY_CSV, HISTORY_ZARR = RUN_FILES
PARTS = ("parameters", "moments", "averages")  # of a state, each with tensors by name
FORMAT = 7  # a run cannot continue across formats


def specification(ensemble: Ensemble) -> dict[str, Any]:
    """All that a resumed run shares with the run that it continues; the schedule needs the steps."""
    own = source(type(ensemble.recipe.objective))
    return {
        **ensemble.recipe.model_dump(mode="json"),
        "models": list(ensemble.models),
        "worlds": [
            # Fields at their defaults are left out, so that a field added later changes nothing.
            {**world.model_dump(mode="json", exclude_defaults=True), **ensemble.views.identity(world)}
            for world in ensemble.worlds
        ],
        "seed": ensemble.seed,
        "draw_on": torch.device(ensemble.source).type,
        **({"projected": True} if ensemble.projected else {}),  # training is the same, the history is not
        **({} if own is None else {"the file of the loss": own}),
    }


def specification_hash(ensemble: Ensemble) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the specification in canonical JSON."""
    text = json.dumps(specification(ensemble), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]


def begin(folder: Path, ensemble: Ensemble) -> None:
    """Create a run folder, unless it holds an unfinished run or one of another specification."""
    output_folder(folder)
    if (folder / CHECKPOINT).exists():
        with _readable(folder / RUN) as file:
            stored = json.loads(file.read_text(encoding="utf-8"))
            _check_same(file, stored.get("format", 1), stored["specification"], ensemble)
        if not (folder / RESULT).exists():
            raise RequestError(f"output {str(folder)!r} holds this run, unfinished; resume it with --resume {folder}")
    run = {"format": FORMAT, "specification": specification(ensemble), "hash": specification_hash(ensemble)}
    write_json(folder / RUN, {**run, "device": device_name(ensemble.device), "versions": provenance()})


@contextmanager
def _readable(file: Path) -> Iterator[Path]:
    try:
        yield file
    except FileNotFoundError:
        raise RequestError(f"{str(file.parent)!r} holds no {file.name}; start the run without --resume") from None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{file} is damaged: {error}") from None


def _check_same(file: Path, number: int, stored: dict[str, Any], ensemble: Ensemble) -> None:
    """Refuse a file of another format or run."""
    if number != FORMAT:
        raise RequestError(
            f"{file} has format {number}, but this version reads and writes format {FORMAT} only; train again in "
            "another folder"
        )
    default, here = World().model_dump(mode="json"), json.loads(json.dumps(specification(ensemble)))
    wholes = (
        {**one, "worlds": {k: default | world for k, world in enumerate(one["worlds"])}} for one in (stored, here)
    )
    check_same(str(file), "run", *wholes)


def save_checkpoint(folder: Path, state: State, ensemble: Ensemble, history: list[dict[str, Any]]) -> None:
    """Replace the folder's history and checkpoint, each atomically. The history comes first, so that it never lags."""
    write_json(folder / HISTORY, history)
    tensors = {f"{part}/{name}": value for part in PARTS for name, value in getattr(state, part).items()}
    tensors |= {"diverged": state.diverged, "loss": state.loss}
    metadata = {"format": FORMAT, "step": int(state.step), "specification": json.dumps(specification(ensemble))}
    metadata = {name: str(value) for name, value in metadata.items()}
    _save(folder / CHECKPOINT, tensors, metadata | {"checksum": _checksum(tensors, metadata)})


def load_checkpoint(folder: Path, ensemble: Ensemble) -> tuple[State, list[dict[str, Any]]]:
    """The state and the history; RequestError for a file that is damaged or of another run."""
    with _readable(folder / CHECKPOINT) as path:
        with safe_open(path, framework="pt", device=ensemble.device) as file:
            metadata = {"format": "1", **(file.metadata() or {})}
            # Cloned: tensors inside the file are aligned differently from fresh ones, so sums may round differently.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        if metadata["format"] == str(FORMAT) and metadata.get("checksum") != _checksum(tensors, metadata):
            raise ValueError("its content does not match its checksum")
        _check_same(path, int(metadata["format"]), json.loads(metadata.get("specification", "{}")), ensemble)
        with _readable(folder / RUN) as run:
            versions = json.loads(run.read_text(encoding="utf-8"))["versions"]
        check_versions(f"the run in {str(folder)!r}", versions, "train again in another folder")
        parts: dict[str, Any] = {part: {} for part in PARTS}
        for name, value in tensors.items():
            part, _, key = name.partition("/")
            parts[part] = {**parts[part], key: value} if key else value
        state = State(step=torch.tensor(int(metadata["step"]), device=ensemble.device), **parts)
        history = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
        return state, [row for row in history if row["step"] <= state.step]


def _checksum(tensors: Parameters, metadata: dict[str, str]) -> str:
    """SHA-256 of all tensors and of all other metadata."""
    total = sha256(repr(sorted((name, value) for name, value in metadata.items() if name != "checksum")).encode())
    for name, value in sorted(tensors.items()):
        total.update(repr((name, value.dtype, tuple(value.shape))).encode())
        total.update(value.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def save_weights(folder: Path, parameters: Parameters) -> None:
    _save(folder / WEIGHTS, parameters, None)


def _save(path: Path, tensors: Parameters, metadata: dict[str, str] | None) -> None:
    whole = {name: value.contiguous() for name, value in tensors.items()}
    write_atomically(path, lambda temporary: save_file(whole, temporary, metadata))
