"""The progress of a fine-tuning: finished trainings and tests, and the best weights so far.

finetuning.json      specification, each finished training with its validation, each finished test
best.safetensors     weights of the best training so far, until they are tested

Without a folder the same is held in memory.
"""

import json
from pathlib import Path
from typing import Any

from experiments.errors import RequestError
from experiments.files import check_writable, output_folder, read_json, write_atomically, write_json

FORMAT = 1
PROGRESS, BEST = "finetuning.json", "best.safetensors"
RESULT, TABLE, PICTURE = "result.json", "trainings.csv", "colored-coco.svg"
Row = dict[str, Any]


def refuse(folder: Path) -> None:
    """Raise RequestError, before any work, for a folder that cannot be written or holds other files."""
    if ":/" in str(folder):  # a Path keeps one of an address's two slashes
        raise RequestError(f"output {str(folder)!r} is an address; a fine-tuning needs a folder of this machine")
    names = (PROGRESS, BEST, RESULT, TABLE, PICTURE) if _document(folder) is None else ()
    check_writable(folder, "sweep", names)


class Progress:
    """Finished trainings and tests, and the best weights of the current learner and replicate."""

    def __init__(self, folder: Path | None, specification: dict[str, Any]):
        self.folder, self.specification = folder, json.loads(json.dumps(specification))
        self.trainings: list[Row] = []
        self.tests: list[Row] = []
        self._best: tuple[Row, dict[str, Any]] | None = None
        stored = None if folder is None else _document(output_folder(folder))
        if stored is not None:
            self._refuse_another(stored["specification"])
            self.trainings, self.tests = stored["trainings"], stored["tests"]
        self.resumed = bool(self.trainings or self.tests)

    def _refuse_another(self, there: dict[str, Any]) -> None:
        for field in dict.fromkeys([*self.specification, *there]):
            if there.get(field) != self.specification.get(field):
                raise RequestError(
                    f"output {str(self.folder)!r} holds another fine-tuning ({field} is {there.get(field)!r} there and "
                    f"{self.specification.get(field)!r} here); name another folder"
                )

    def add_training(self, row: Row) -> None:
        """Save a finished training."""
        self.trainings.append(row)
        self._write()

    def add_test(self, row: Row) -> None:
        """Save a finished test, and remove the weights that it used."""
        self.tests.append(row)
        self._write()
        self._best = None
        if self.folder is not None:
            (self.folder / BEST).unlink(missing_ok=True)

    def save_weights(self, training: Row, weights: dict[str, Any]) -> None:
        """Save the best weights so far. Call it before the training is added."""
        self._best = (training, weights)
        if self.folder is not None:
            from safetensors.torch import save_file  # start-up time

            mark = {"whose": json.dumps(training, sort_keys=True)}
            write_atomically(self.folder / BEST, lambda path: save_file(weights, path, mark))

    def weights_of(self, training: Row) -> dict[str, Any] | None:
        """The saved weights of a training; None if there are none, or they are damaged."""
        if self._best is not None and self._best[0] == training:
            return self._best[1]
        if self.folder is None or not (self.folder / BEST).is_file():
            return None
        from safetensors import SafetensorError, safe_open  # start-up time

        try:
            with safe_open(self.folder / BEST, framework="pt") as file:
                if (file.metadata() or {}).get("whose") != json.dumps(training, sort_keys=True):
                    return None
                # Cloned: tensors in the file have another alignment, with which sums may round differently.
                return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (OSError, SafetensorError):
            return None

    def _write(self) -> None:
        if self.folder is not None:
            document = {"format": FORMAT, "specification": self.specification}
            write_json(self.folder / PROGRESS, {**document, "trainings": self.trainings, "tests": self.tests})


def _document(folder: Path) -> dict[str, Any] | None:
    """The progress in a folder; None if there is none of this format."""
    document = read_json(folder / PROGRESS)
    readable = isinstance(document, dict) and document.get("format") == FORMAT
    return document if readable and {"specification", "trainings", "tests"} <= document.keys() else None
