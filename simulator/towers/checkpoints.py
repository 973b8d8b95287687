"""An ensemble's state in one safetensors file, with the run's specification as JSON."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from simulator.towers.ensemble import Ensemble
from simulator.towers.layers import Parameters
from simulator.towers.training import State
from simulator.world import World

PARTS = ("parameters", "moments", "averages")
# Of checkpoints and run folders; a run cannot continue across formats. 2: streams of the CPU come from numpy. 3: SOAP's
# first moments are in its coordinates. 4: streams of other devices come from torch's generators. 5: recipes have no
# normalisation, and states no norms. 6: checkpoints have a checksum, and recipes no text towers.
FORMAT = 6


class AnotherRun(ValueError):
    """The checkpoint has another specification or format than this run."""


def check_format(found: object) -> None:
    """Raise AnotherRun unless `found` is the format of this version; None is format 1."""
    if found != FORMAT:
        raise AnotherRun(
            f"it has format {1 if found is None else found}, but this version reads and writes format {FORMAT} only; "
            "train again in another folder"
        )


def specification(ensemble: Ensemble) -> dict[str, Any]:
    """{field: value} of all that a resumed run shares with the run that it continues; the schedule needs the steps."""
    return {
        **ensemble.recipe.model_dump(mode="json"),
        "worlds": [
            # Fields at their defaults are left out, so that a field added later changes nothing.
            {**world.model_dump(mode="json", exclude_defaults=True), **ensemble.views.identity(world)}
            for world in ensemble.worlds
        ],
        "models": list(ensemble.models),
        "seed": ensemble.seed,
        "draw_on": torch.device(ensemble.source).type,
    }


def difference(saved: dict[str, Any], wanted: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """(field, saved value, wanted value) of the first difference of two specifications; None if they agree."""
    saved, wanted = (json.loads(json.dumps(x)) for x in (saved, wanted))
    sizes = [len(x.get("models") or ()) for x in (saved, wanted)]
    if sizes[0] != sizes[1]:
        return "ensemble", *sizes
    default = World().model_dump(mode="json")
    worlds = [[default | world for world in x.pop("worlds", None) or []] for x in (saved, wanted)]
    for there, here in [(saved, wanted), *zip(*worlds, strict=False)]:
        for field in [*here, *there]:
            if there.get(field) != here.get(field):
                return field, there.get(field), here.get(field)
    return None


def save_state(path: Path, state: State, ensemble: Ensemble) -> None:
    """Write `state` to `path`. The caller renames the file afterwards, so that the final name never has half a file."""
    tensors = {f"{part}/{name}": value for part in PARTS for name, value in getattr(state, part).items()}
    tensors |= {"diverged": state.diverged, "loss": state.loss}
    metadata = {
        "format": str(FORMAT),
        "step": str(int(state.step)),
        "specification": json.dumps(specification(ensemble)),
    }
    metadata["checksum"] = _checksum(tensors, metadata)
    save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata)


def _checksum(tensors: Parameters, metadata: dict[str, str]) -> str:
    """SHA-256 of all tensors and of all other metadata."""
    total = sha256(repr(sorted((name, value) for name, value in metadata.items() if name != "checksum")).encode())
    for name, value in sorted(tensors.items()):
        total.update(repr((name, value.dtype, tuple(value.shape))).encode())
        total.update(value.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def load_state(path: Path, ensemble: Ensemble) -> State:
    """The state saved at `path`, on the ensemble's device.

    Raises AnotherRun for another format or specification; OSError, ValueError or safetensors' error for a damaged file.
    """
    with safe_open(path, framework="pt", device=ensemble.device) as file:
        metadata = file.metadata() or {}
        check_format(int(metadata["format"]) if "format" in metadata else None)
        # Cloned: tensors inside the file are aligned differently from fresh ones, so sums may round differently.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    if metadata.get("checksum") != _checksum(tensors, metadata):
        raise ValueError("its content does not match its checksum")
    saved = json.loads(metadata["specification"])
    differs = difference(saved, specification(ensemble))
    if differs is not None:
        field, there, here = differs
        raise AnotherRun(f"{field} is {there!r} in the checkpoint and {here!r} in this request")
    parts: dict[str, Any] = {part: {} for part in PARTS}
    for name, value in tensors.items():
        part, _, key = name.partition("/")
        if key:
            parts[part][key] = value
        else:
            parts[part] = value
    return State(step=torch.tensor(int(metadata["step"]), device=ensemble.device), **parts)
