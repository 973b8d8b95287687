"""The folder of a training run.

run.json                 format, specification, its hash, versions, device: written before the first step
checkpoint.safetensors   the state at the last checkpoint, from which training resumes bit by bit
trace.json               the measures of each checkpoint so far
weights.safetensors      the final parameters
result.json              the document that `soberclip train --json` prints
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file

from experiments.errors import RequestError
from experiments.files import output_folder, write_atomically, write_json
from experiments.provenance import provenance
from experiments.runtime import device_name
from simulator.towers import checkpoints
from simulator.towers.ensemble import Ensemble
from simulator.towers.training import State

RUN, CHECKPOINT, TRACE = "run.json", "checkpoint.safetensors", "trace.json"
WEIGHTS, RESULT = "weights.safetensors", "result.json"
FILES = (RUN, CHECKPOINT, TRACE, WEIGHTS, RESULT)


def specification_hash(specification: dict[str, Any]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a specification in canonical JSON."""
    return sha256(json.dumps(specification, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def begin(folder: Path, ensemble: Ensemble) -> None:
    """Create a run folder, unless it holds an unfinished run or one of another specification."""
    output_folder(folder)
    wanted = checkpoints.specification(ensemble)
    if (folder / CHECKPOINT).exists():
        with _sentences(folder / RUN):
            stored = json.loads((folder / RUN).read_text(encoding="utf-8"))
            checkpoints.check_format(stored.get("format"))
            differs = checkpoints.difference(stored["specification"], wanted)
        if differs is not None:
            name, there, here = differs
            raise RequestError(
                f"output {str(folder)!r} holds another run ({name} is {there!r} there and {here!r} here); "
                "name another folder"
            )
        if not (folder / RESULT).exists():
            raise RequestError(f"output {str(folder)!r} holds this run, unfinished; resume it with --resume {folder}")
    document = {"format": checkpoints.FORMAT, "specification": wanted, "hash": specification_hash(wanted)}
    write_json(folder / RUN, {**document, "device": device_name(ensemble.device), "versions": provenance()})


@contextmanager
def _sentences(file: Path) -> Iterator[None]:
    try:
        yield
    except checkpoints.AnotherRun as error:
        raise RequestError(f"{file} cannot be used: {error}") from None
    except FileNotFoundError:
        raise RequestError(f"{str(file.parent)!r} holds no {file.name}; start the run without --resume") from None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{file} is damaged: {error}") from None


def save_checkpoint(folder: Path, state: State, ensemble: Ensemble, trace: list[dict[str, Any]]) -> None:
    """Replace the folder's trace and checkpoint, each atomically. The trace comes first, so that it never lags."""
    write_json(folder / TRACE, trace)
    write_atomically(folder / CHECKPOINT, lambda path: checkpoints.save_state(path, state, ensemble))


def load_checkpoint(folder: Path, ensemble: Ensemble) -> tuple[State, list[dict[str, Any]]]:
    with _sentences(folder / CHECKPOINT):
        state = checkpoints.load_state(folder / CHECKPOINT, ensemble)
        trace = json.loads((folder / TRACE).read_text(encoding="utf-8"))
        return state, [row for row in trace if row["step"] <= state.step]


def save_weights(folder: Path, parameters: dict[str, Any]) -> None:
    tensors = {name: value.contiguous() for name, value in parameters.items()}
    write_atomically(folder / WEIGHTS, lambda path: save_file(tensors, path))
