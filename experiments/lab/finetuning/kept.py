"""What is kept of a fine-tuning while it runs: finished trainings and tests, and the best weights so far.

finetuning.json      what was asked, every finished training with its validation, every finished test
best.safetensors     weights of the training that is best so far, where its test is still to come

Without a folder the same is held in memory.
"""

import json
from pathlib import Path
from typing import Any

from experiments.errors import RequestError
from experiments.files import check_folder, check_writable, output_folder, read_json, write_atomically, write_json

FORMAT = 1
PROGRESS, BEST = "finetuning.json", "best.safetensors"
RESULT, TABLE, PICTURE = "result.json", "trainings.csv", "colored-coco.svg"
Row = dict[str, Any]


def refuse(folder: Path) -> None:
    """Raise RequestError, before any work, for a folder that cannot be written or holds what no fine-tuning wrote."""
    if ":/" in str(folder):  # a Path has lost one of an address's two slashes
        raise RequestError(f"output {str(folder)!r} is an address; a fine-tuning needs a folder of this machine")
    check_writable(folder)
    if _document(folder) is None:
        check_folder(folder, "sweep", (PROGRESS, BEST, RESULT, TABLE, PICTURE))


class Kept:
    """Finished trainings and tests, and the best weights of the run that is under way."""

    def __init__(self, folder: Path | None, specification: dict[str, Any]):
        self.folder, self.specification = folder, json.loads(json.dumps(specification))
        self.trainings: list[Row] = []
        self.tests: list[Row] = []
        self._best: tuple[Row, dict[str, Any]] | None = None
        standing = None if folder is None else _document(output_folder(folder))
        if standing is not None:
            self._refuse_another(standing["specification"])
            self.trainings, self.tests = standing["trainings"], standing["tests"]
        self.stood = len(self.trainings) + len(self.tests)

    def _refuse_another(self, there: dict[str, Any]) -> None:
        for field in dict.fromkeys([*self.specification, *there]):
            if there.get(field) != self.specification.get(field):
                raise RequestError(
                    f"output {str(self.folder)!r} holds another fine-tuning ({field} is {there.get(field)!r} there and "
                    f"{self.specification.get(field)!r} here); name a folder of its own"
                )

    def trained(self, row: Row) -> None:
        """Keep a finished training."""
        self.trainings.append(row)
        self._write()

    def tested(self, row: Row) -> None:
        """Keep a finished test; the weights that it was made with are needed no more."""
        self.tests.append(row)
        self._write()
        self._best = None
        if self.folder is not None:
            (self.folder / BEST).unlink(missing_ok=True)

    def keep_weights(self, whose: Row, weights: dict[str, Any]) -> None:
        """Keep the best weights so far; before the training that they are of is said to be finished."""
        self._best = (whose, weights)
        if self.folder is not None:
            from safetensors.torch import save_file

            mark = {"whose": json.dumps(whose, sort_keys=True)}
            write_atomically(self.folder / BEST, lambda path: save_file(weights, path, mark))

    def weights_of(self, whose: Row) -> dict[str, Any] | None:
        """The kept weights, if they are this training's and whole."""
        if self._best is not None and self._best[0] == whose:
            return self._best[1]
        if self.folder is None or not (self.folder / BEST).is_file():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.folder / BEST, framework="pt") as file:
                if (file.metadata() or {}).get("whose") != json.dumps(whose, sort_keys=True):
                    return None
                # Cloned: a tensor inside the file is not aligned like a fresh one, and sums over it may round otherwise
                return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (OSError, SafetensorError):
            return None

    def _write(self) -> None:
        if self.folder is not None:
            document = {"format": FORMAT, "specification": self.specification}
            write_json(self.folder / PROGRESS, {**document, "trainings": self.trainings, "tests": self.tests})


def _document(folder: Path) -> dict[str, Any] | None:
    """The progress in a folder; None where there is none of this format."""
    found = read_json(folder / PROGRESS)
    whole = isinstance(found, dict) and found.get("format") == FORMAT
    return found if whole and {"specification", "trainings", "tests"} <= found.keys() else None
