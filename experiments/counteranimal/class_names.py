"""The index of a class from its name in a data set: by number, WordNet id or name, or in a file of the user's classes.

A name of several ImageNet classes ("crane": the bird and the machine) is refused with its possible meanings. Names are
looked up in the data set's own list first, then in all installed lists together.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

from experiments.counteranimal.labels import CLASS_COUNT, Vocabulary, library_names
from experiments.errors import RequestError
from experiments.published.tables import published_classes
from simulator.naming import suggestion

NAMES_FILE = "imagenet_names.txt"  # "<index>\t<name>" per line, comes with the data set
MEANINGS = 6  # of an ambiguous name that a sentence lists
Names = dict[str, set[int]]  # words -> classes with this name


@runtime_checkable
class ClassIndex(Protocol):
    """Class name -> index."""

    def index(self, name: str) -> int:
        """The index among the labels; raises RequestError for an unknown class."""
        ...


def indexed(folder: str, index: int) -> str:
    """A class folder's name with its index in front, so that it is not ambiguous."""
    return folder if folder.split(" ")[0] == str(index) else f"{index} {folder}"


class ImageNetClasses:
    """ImageNet-1k indices, by leading number, WordNet id (n01518878), or name."""

    def __init__(self, root: Path):
        self._root = root

    def index(self, name: str) -> int:
        number = re.match(r"(-?\d+)(\s|$)", name)
        if number:
            return _checked(int(number[1]), name)
        if re.fullmatch(r"n\d{8}", name):
            return self._by_wordnet(name)
        words = _words(name)
        for names in (self._own, self._every):
            found = names.get(words) or _extended(names, words)
            if len(found) == 1:
                return next(iter(found))
            if found:
                raise _ambiguous(name, found)
        raise RequestError(
            f"the class {name!r} has no leading index and no class list of ImageNet has its name"
            f"{suggestion(words, self._every, quoted=True)}; classes of your own need --classes FILE"
        )

    def _by_wordnet(self, name: str) -> int:
        ids = _wordnet_ids()
        if name not in ids:
            raise RequestError(
                f"the class {name!r} is not a WordNet id of ImageNet-1k{suggestion(name, ids, quoted=True)}"
            )
        return ids.index(name)

    @cached_property
    def _own(self) -> Names:
        own = self._root / NAMES_FILE
        if not own.is_file():
            return {}
        lines = (line.partition("\t") for line in own.read_text(encoding="utf-8-sig", errors="replace").splitlines())
        return _by_words((int(a), b) for a, tab, b in lines if tab and a.strip().isdigit())

    @cached_property
    def _every(self) -> Names:
        """The paper's 45 classes and the lists of the installed libraries."""
        pairs = [(c.index, c.name) for c in published_classes()]
        for names in (*_library_lists(), _descriptions()):
            pairs += enumerate(names)
        return _by_words(pairs)


class OwnClasses:
    """Positions in the user's own list of classes."""

    def __init__(self, vocabulary: Vocabulary):
        self._exact = {name: i for i, name in enumerate(vocabulary.names)}
        self._words = _by_words(enumerate(vocabulary.names))
        self._source = vocabulary.source

    def index(self, name: str) -> int:
        if name in self._exact:
            return self._exact[name]
        found = self._words.get(_words(name), set())
        if len(found) != 1:
            raise RequestError(
                f"the class {name!r} is not in {self._source!r}{suggestion(name, self._exact, quoted=True)}; "
                "every class of the data needs a line there"
            )
        return next(iter(found))


def _checked(index: int, name: str) -> int:
    if not 0 <= index < CLASS_COUNT:
        raise RequestError(
            f"class index {index} of the folder {name!r} lies outside 0..{CLASS_COUNT - 1}; "
            f"the nearest valid index is {min(max(index, 0), CLASS_COUNT - 1)}"
        )
    return index


def _extended(names: Names, words: str) -> set[int]:
    """Classes whose name begins or ends with these words: fox in "red fox"."""
    if not words:
        return set()
    return {
        i for name, found in names.items() for i in found if name.startswith(words + " ") or name.endswith(" " + words)
    }


def _ambiguous(name: str, found: set[int]) -> RequestError:
    lists = _library_lists()
    # open_clip's names tell the classes apart.
    spelled = dict(enumerate(lists[0])) if lists else {c.index: c.name for c in published_classes()}
    listed = sorted(found)
    readings = ", ".join(f"{i} ({spelled.get(i, 'unnamed')})" for i in listed[:MEANINGS])
    more = f" and {len(listed) - MEANINGS} more" if len(listed) > MEANINGS else ""
    return RequestError(
        f"the class {name!r} may be any of ImageNet's {readings}{more}; put the index before its name, "
        f"as in '{listed[0]} {name}', or give your own classes with --classes FILE"
    )


def _library_lists() -> list[tuple[str, ...]]:
    found = []
    for library in ("open_clip", "torchvision"):
        try:
            found.append(library_names(library))
        except RequestError:
            continue  # the library is not installed
    return found


def _descriptions() -> tuple[str, ...]:
    """WordNet's synonyms of every class, if timm is installed."""
    try:
        from timm.data import ImageNetInfo  # optional extra
    except ImportError:
        return ()
    info = ImageNetInfo()
    return tuple(info.index_to_description(i) for i in range(CLASS_COUNT))


def _wordnet_ids() -> list[str]:
    try:
        from timm.data import ImageNetInfo  # optional extra
    except ImportError as error:
        raise RequestError(
            "WordNet ids as class folders need timm, which is not installed; in the checkout run: "
            "python -m pip install -e '.[clip]'"
        ) from error
    return ImageNetInfo().label_names()


def _by_words(pairs: Iterable[tuple[int, str]]) -> Names:
    """Each full name and each of its comma-separated synonyms -> the classes with this name."""
    found: Names = {}
    for index, name in pairs:
        for part in (name, *name.split(",")):
            found.setdefault(_words(part), set()).add(index)
    return found


def _words(name: str) -> str:
    return " ".join(re.findall(r"\w+", name.lower().replace("_", " ")))
