"""Names of class folders: "9 ostrich, Struthio camelus" by its leading index, "ostrich" by the class lists at hand."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from experiments.counteranimal.labels import CLASS_COUNT, library_names
from experiments.errors import RequestError
from experiments.published.tables import published_classes
from simulator.naming import suggestion

NAMES_FILE = "imagenet_names.txt"  # "<index>\t<name>" a line, ships with the data set


def indexed(folder: str, index: int) -> str:
    """A class folder's name with its index in front, so that any reader can resolve it."""
    return folder if folder.split(" ")[0] == str(index) else f"{index} {folder}"


class ClassFolders:
    """Folder name -> ImageNet-1k index: from the leading number, else from the class lists at hand."""

    def __init__(self, root: Path):
        self._root = root
        self._lists: Iterator[dict[str, int]] | None = None
        self._known: list[dict[str, int]] = []

    def index(self, folder: str) -> int:
        number = re.match(r"(-?\d+)(\s|$)", folder)
        if number:
            value = int(number[1])
            if not 0 <= value < CLASS_COUNT:
                raise RequestError(
                    f"class index {value} of the folder {folder!r} lies outside 0..{CLASS_COUNT - 1}; "
                    f"the nearest valid index is {min(max(value, 0), CLASS_COUNT - 1)}"
                )
            return value
        for names in self._class_lists():
            key = _words(folder)
            if key in names:
                return names[key]
            # "king snake" for the list's "king snake kingsnake", if only one class begins so.
            begins = {names[name] for name in names if name.startswith(key + " ")}
            if len(begins) == 1:
                return begins.pop()
        every = [name for names in self._known for name in names]
        raise RequestError(
            f"the class folder {folder!r} has no leading index and its name is in no class list"
            f"{suggestion(_words(folder), every, quoted=True)}"
        )

    def _class_lists(self) -> Iterator[dict[str, int]]:
        yield from self._known
        if self._lists is None:
            self._lists = _class_lists(self._root)
        for names in self._lists:
            self._known.append(names)
            yield names


def _class_lists(root: Path) -> Iterator[dict[str, int]]:
    """The tree's own list, the paper's 45 classes, then the libraries' lists where they are installed."""
    own = root / NAMES_FILE
    if own.is_file():
        lines = (line.partition("\t") for line in own.read_text(encoding="utf-8-sig", errors="replace").splitlines())
        yield _by_words((int(a), b) for a, tab, b in lines if tab and a.strip().isdigit())
    yield _by_words((c.index, c.name) for c in published_classes())
    for library in ("torchvision", "open_clip"):
        try:
            yield _by_words(enumerate(library_names(library)))
        except RequestError:
            continue  # the library is not installed: one list fewer


def _by_words(pairs: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Each full name and each of its comma-separated synonyms -> index; synonyms of two classes are left out."""
    found: dict[str, set[int]] = {}
    for index, name in pairs:
        for part in (name, *name.split(",")):
            found.setdefault(_words(part), set()).add(index)
    return {words: indices.pop() for words, indices in found.items() if len(indices) == 1}


def _words(name: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", name.lower()))
