"""The folder of a training run: what was asked, where it stands, what came out.

run.json                 specification, its hash, versions, device: written before the first step
checkpoint.safetensors   the state at the last checkpoint, enough to go on bit for bit
weights.safetensors      the final parameters alone
result.json              the document that `soberclip train --json` prints
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from experiments.errors import RequestError
from experiments.files import output_folder, write_atomically, write_json
from experiments.provenance import provenance

RUN, CHECKPOINT, WEIGHTS, RESULT = "run.json", "checkpoint.safetensors", "weights.safetensors", "result.json"


def specification_hash(specification: dict[str, Any]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a specification in canonical JSON."""
    return sha256(json.dumps(specification, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def begin(folder: Path, specification: dict[str, Any], device: str) -> None:
    """Make a run folder.

    Raises RequestError if it already holds an unfinished run, or one of another specification: nothing is overwritten.
    """
    output_folder(folder)
    if (folder / CHECKPOINT).exists():
        earlier = stored_specification(folder)
        field = difference(earlier, specification)
        if field is not None:
            raise RequestError(
                f"output {str(folder)!r} holds another run ({field} is {earlier.get(field)!r} there and "
                f"{specification.get(field)!r} here); name a folder of its own"
            )
        if not (folder / RESULT).exists():
            raise RequestError(f"output {str(folder)!r} holds this run, unfinished; go on with --resume {folder}")
    write_json(
        folder / RUN,
        {
            "specification": specification,
            "hash": specification_hash(specification),
            "device": device,
            "versions": provenance(),
        },
    )


def stored_specification(folder: Path) -> dict[str, Any]:
    """The specification of the run in `folder`; RequestError if there is none."""
    try:
        return json.loads((folder / RUN).read_text(encoding="utf-8"))["specification"]
    except FileNotFoundError:
        raise RequestError(f"{str(folder)!r} holds no run; give the folder that an earlier run wrote") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{folder / RUN} cannot be read: {error}") from None


def difference(stored: dict[str, Any], wanted: dict[str, Any]) -> str | None:
    """The first field in which two specifications differ, None if they agree."""
    wanted = json.loads(json.dumps(wanted))
    return next((name for name in [*wanted, *stored] if stored.get(name) != wanted.get(name)), None)


def save_checkpoint(folder: Path, state, ensemble) -> None:
    """Replace the folder's checkpoint, atomically."""
    from simulator.checkpoints import save_state

    write_atomically(folder / CHECKPOINT, lambda path: save_state(path, state, ensemble))


def load_checkpoint(folder: Path, ensemble):
    """The state to go on from; RequestError if it is missing, damaged or of another run."""
    from safetensors import SafetensorError

    from simulator.checkpoints import AnotherRun, load_state

    try:
        return load_state(folder / CHECKPOINT, ensemble)
    except AnotherRun as error:
        raise RequestError(f"{folder / CHECKPOINT} cannot be resumed: {error}") from None
    except FileNotFoundError:
        raise RequestError(f"{str(folder)!r} holds no checkpoint yet; start the run without --resume") from None
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise RequestError(f"{folder / CHECKPOINT} is damaged: {error}") from None


def save_weights(folder: Path, parameters: dict[str, Any]) -> None:
    """Write the final parameters."""
    from safetensors.torch import save_file

    tensors = {name: value.contiguous() for name, value in parameters.items()}
    write_atomically(folder / WEIGHTS, lambda path: save_file(tensors, path))
