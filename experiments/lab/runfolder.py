"""The folder of a training run.

run.json                 format, specification, its hash, versions, device: written before the first
                         step
checkpoint               state and history at the last checkpoint, from which training resumes bit
                         by bit; a checksum
weights.safetensors      the final parameters
result.json              the document that `soberclip train --json` prints
history.csv, .zarr       the history of every model with its p' and r, on request
                         (`experiments.lab.history`)
"""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import save_file

from experiments.errors import RequestError
from experiments.files import (
    CHECKPOINT,
    RESULT,
    RUN,
    WEIGHTS,
    output_folder,
    write_atomically,
    write_json,
)
from experiments.lab.config import check_same, check_versions
from experiments.provenance import provenance, rounding, source
from experiments.runtime import device_name
from simulator.towers.ensemble import Ensemble
from simulator.towers.layers import Parameters
from simulator.towers.training import State
from simulator.world import World

FORMAT = 8  # a run cannot continue across formats
DIGEST = sha256().digest_size  # bytes at the start of a checkpoint


def specification(ensemble: Ensemble) -> dict[str, Any]:
    """All that a resumed run shares with the run that it continues; the schedule needs the
    steps.
    """
    own = source(type(ensemble.recipe.objective))
    return {
        **ensemble.recipe.model_dump(mode="json"),
        "models": list(ensemble.models),
        "worlds": [
            # Fields at their defaults are left out, so that a field added later changes nothing.
            {
                **world.model_dump(mode="json", exclude_defaults=True),
                **ensemble.views.identity(world),
            }
            for world in ensemble.worlds
        ],
        "seed": ensemble.seed,
        "draw_on": torch.device(ensemble.source).type,
        **({} if own is None else {"the file of the loss": own}),
    }


def specification_hash(ensemble: Ensemble) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the specification in canonical JSON."""
    text = json.dumps(specification(ensemble), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:16]


def begin(folder: Path, ensemble: Ensemble) -> None:
    """Create a run folder, unless it holds an unfinished run or one of another specification."""
    output_folder(folder)
    if (folder / RUN).exists():
        with _readable(folder / RUN) as file:
            stored = json.loads(file.read_text(encoding="utf-8"))
            _check_same(file, stored.get("format", 1), stored["specification"], ensemble)
        if (folder / CHECKPOINT).exists() and not (folder / RESULT).exists():
            raise RequestError(
                f"output {str(folder)!r} holds this run, unfinished; resume it with --resume"
                f" {folder}"
            )
    run = {
        "format": FORMAT,
        "specification": specification(ensemble),
        "hash": specification_hash(ensemble),
    }
    write_json(
        folder / RUN, {**run, "device": device_name(ensemble.device), "versions": provenance()}
    )


@contextmanager
def _readable(file: Path) -> Iterator[Path]:
    try:
        yield file
    except FileNotFoundError:
        raise RequestError(
            f"{str(file.parent)!r} holds no {file.name}; start the run without --resume"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{file} is damaged: {error}") from None


def _check_same(file: Path, number: int, stored: dict[str, Any], ensemble: Ensemble) -> None:
    """Refuse a file of another format or run."""
    if number != FORMAT:
        raise RequestError(
            f"{file} has format {number}, but this version reads and writes format {FORMAT} only;"
            " train again in another folder"
        )
    default = World().model_dump(mode="json")
    here = json.loads(json.dumps(specification(ensemble)))
    wholes = (
        {**one, "worlds": {k: default | world for k, world in enumerate(one["worlds"])}}
        for one in (stored, here)
    )
    check_same(str(file), "run", *wholes)


def save_checkpoint(
    folder: Path, state: State, ensemble: Ensemble, history: list[dict[str, Any]]
) -> None:
    """Replace the folder's checkpoint, atomically."""
    whole = {"format": FORMAT, "specification": specification(ensemble), "versions": rounding()}
    content = BytesIO()
    torch.save({**whole, "state": state._asdict(), "history": history}, content)
    signed = sha256(content.getbuffer()).digest() + content.getvalue()
    write_atomically(folder / CHECKPOINT, lambda temporary: temporary.write_bytes(signed))


def load_checkpoint(folder: Path, ensemble: Ensemble) -> tuple[State, list[dict[str, Any]]]:
    """The state and the history; RequestError for a file that is damaged or of another run."""
    with _readable(folder / CHECKPOINT) as path:
        signed = path.read_bytes()
        if sha256(signed[DIGEST:]).digest() != signed[:DIGEST]:
            raise ValueError("its content does not match its checksum")
        try:
            stored = torch.load(
                BytesIO(signed[DIGEST:]), map_location=ensemble.device, weights_only=True
            )
        except (EOFError, RuntimeError, UnpicklingError, struct.error) as error:
            # of a file that was not written here
            raise ValueError(f"torch finds no checkpoint in it ({type(error).__name__})") from error
        _check_same(path, stored["format"], stored["specification"], ensemble)
        check_versions(
            f"the run in {str(folder)!r}", stored["versions"], "train again in another folder"
        )
        return State(**stored["state"]), stored["history"]


def save_weights(folder: Path, parameters: Parameters) -> None:
    whole = {name: value.contiguous() for name, value in parameters.items()}
    write_atomically(folder / WEIGHTS, lambda temporary: save_file(whole, temporary))
