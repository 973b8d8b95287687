"""The index of a class from its name in a data set: by number, WordNet id or name, or in a file of the user's classes.

A name of several ImageNet classes ("crane": the bird and the machine) is refused with its possible meanings. Names are
looked up in the data set's own list first, then among those of open_clip and WordNet.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from experiments.counteranimal.labels import CLASS_COUNT, Vocabulary, installed, library_names
from experiments.errors import RequestError
from simulator.naming import suggestion

NAMES_FILE = "imagenet_names.txt"  # "<index>\t<name>" per line, comes with the data set
Names = dict[str, set[int]]  # words -> classes with this name


def indexed(folder: str, index: int) -> str:
    """A class folder's name with its index in front, so that it is not ambiguous."""
    return folder if folder.split(" ")[0] == str(index) else f"{index} {folder}"


def class_indices(names: Iterable[str], root: Path, vocabulary: Vocabulary | None = None) -> dict[str, int]:
    """Class name -> index in the user's own vocabulary or in ImageNet-1k. Raises RequestError for two of one index."""
    found: dict[int, str] = {}
    for name in names:
        index = imagenet_index(name, root) if vocabulary is None else own_index(name, vocabulary)
        if index in found:
            raise RequestError(f"class {index} is given twice, by {found[index]!r} and {name!r}; keep one of them")
        found[index] = name
    return {name: index for index, name in found.items()}


def imagenet_index(name: str, root: Path) -> int:
    """The ImageNet-1k index of a class of the data set at `root`: its leading number, WordNet id (n01518878) or name.

    Raises RequestError for an unknown class and for a name of several classes.
    """
    number = re.match(r"(-?\d+)(\s|$)", name)
    if number and not 0 <= int(number[1]) < CLASS_COUNT:
        raise RequestError(f"class index {number[1]} of {name!r} lies outside 0..{CLASS_COUNT - 1}")
    if number:
        return int(number[1])
    known = _known_names()
    words = _words(name)
    for names in (_listed_names(root / NAMES_FILE), known):
        found = sorted(names.get(words) or _extended(names, words))
        if len(found) == 1:
            return found[0]
        if found:
            spelled = library_names("open_clip")  # they tell the classes apart
            readings = ", ".join(f"{i} ({spelled[i]})" for i in found)
            raise RequestError(
                f"the class {name!r} may be any of ImageNet's {readings}; put the index before its name, as in "
                f"'{found[0]} {name}', or give your own classes with --classes FILE"
            )
    raise RequestError(
        f"the class {name!r} has no leading index, and no class of ImageNet has this name or WordNet id"
        f"{suggestion(words, known, quoted=True)}; classes of your own need --classes FILE"
    )


def own_index(name: str, vocabulary: Vocabulary) -> int:
    """The position of a class in the user's own list, where case and punctuation may differ."""
    if name in vocabulary.names:
        return vocabulary.names.index(name)
    found = _by_words(enumerate(vocabulary.names)).get(_words(name), set())
    if len(found) != 1:
        raise RequestError(
            f"the class {name!r} is not in {vocabulary.source!r}{suggestion(name, vocabulary.names, quoted=True)}; "
            "every class of the data needs a line there"
        )
    return found.pop()


def _listed_names(file: Path) -> Names:
    if not file.is_file():
        return {}
    lines = (line.partition("\t") for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines())
    return _by_words((int(index), name) for index, tab, name in lines if tab and index.strip().isdigit())


@cache
def _known_names() -> Names:
    """open_clip's names, and WordNet's ids and synonyms."""
    info = installed("timm.data").ImageNetInfo()
    lists = (library_names("open_clip"), info.label_names(), info.label_descriptions())
    return _by_words(pair for names in lists for pair in enumerate(names))


def _extended(names: Names, words: str) -> set[int]:
    """Classes whose name begins or ends with these words: fox in "red fox"."""
    if not words:
        return set()
    return {
        i for name, found in names.items() for i in found if name.startswith(words + " ") or name.endswith(" " + words)
    }


def _by_words(pairs: Iterable[tuple[int, str]]) -> Names:
    """Each full name and each of its comma-separated synonyms -> the classes with this name."""
    found: Names = {}
    for index, name in pairs:
        for part in (name, *name.split(",")):
            found.setdefault(_words(part), set()).add(index)
    return found


def _words(name: str) -> str:
    return " ".join(re.findall(r"\w+", name.lower().replace("_", " ")))
