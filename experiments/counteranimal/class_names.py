"""The index of a class from its name in a data set: by number, WordNet id, name, or the user's list of classes.

A name of several ImageNet classes ("crane": the bird and the machine) is an error that lists the classes.
"""

import re
from collections.abc import Iterable
from functools import cache

from experiments.counteranimal.labels import CLASS_COUNT, Vocabulary, installed, library_names
from experiments.errors import RequestError
from simulator.naming import suggestion


def indexed(folder: str, index: int) -> str:
    """A class folder's name with its index in front, so that it is not ambiguous."""
    return folder if folder.split(" ")[0] == str(index) else f"{index} {folder}"


def class_indices(names: Iterable[str], vocabulary: Vocabulary | None = None) -> dict[str, int]:
    """Class name -> index in the user's own vocabulary or in ImageNet-1k. Raises RequestError if two share an index."""
    by_index: dict[int, str] = {}
    for name in names:
        if vocabulary is None:
            index = imagenet_index(name)
        elif name in vocabulary.names:
            index = vocabulary.names.index(name)
        else:
            raise RequestError(
                f"the class {name!r} is not in {vocabulary.source!r}{suggestion(name, vocabulary.names, quoted=True)}; "
                "every class of the data needs a line there"
            )
        if index in by_index:
            raise RequestError(f"class {index} is given twice, by {by_index[index]!r} and {name!r}; keep one of them")
        by_index[index] = name
    return {name: index for index, name in by_index.items()}


def imagenet_index(name: str) -> int:
    """The ImageNet-1k index of a class by its leading number, its WordNet id (n01518878) or its name.

    Raises RequestError for an unknown class, for a name of several classes, and for the name of another class than
    that of the number; a name that ImageNet does not have may follow a number.
    """
    number, known = re.match(r"(-?\d{1,9})(?:\s+(.*)|$)", name), _known_names()
    if number:
        index, named = int(number[1]), number[2] or ""
        if not 0 <= index < CLASS_COUNT:
            raise RequestError(f"class index {index} of {name!r} lies outside 0..{CLASS_COUNT - 1}")
        others = {i for part in (named, *named.split(",")) for i in known.get(_words(part), ())}
        if others and index not in others:
            raise RequestError(
                f"the class {name!r} is ambiguous: ImageNet's class {index} is {library_names('open_clip')[index]!r}, "
                f"and {named!r} is class {min(others)}; correct the number or the name"
            )
        return index
    words = _words(name)
    indices = sorted(known.get(words, ()))
    if not indices:
        raise RequestError(
            f"the class {name!r} has no leading index, and no class of ImageNet has this name or WordNet id"
            f"{suggestion(words, known, quoted=True)}; classes of your own need --classes FILE"
        )
    if len(indices) > 1:
        spelled = library_names("open_clip")  # they tell the classes apart
        readings = ", ".join(f"{i} ({spelled[i]})" for i in indices)
        raise RequestError(
            f"the class {name!r} may be any of ImageNet's {readings}; put the index before its name, as in "
            f"'{indices[0]} {name}', or give your own classes with --classes FILE"
        )
    return indices[0]


@cache
def _known_names() -> dict[str, set[int]]:
    """Each open_clip name, WordNet id and synonym -> indices of its classes."""
    info = installed("timm.data").ImageNetInfo()
    by_name: dict[str, set[int]] = {}
    for names in (library_names("open_clip"), info.label_names(), info.label_descriptions()):
        for index, name in enumerate(names):
            for part in (name, *name.split(",")):
                by_name.setdefault(_words(part), set()).add(index)
    return by_name


def _words(name: str) -> str:
    return " ".join(re.findall(r"\w+", name.lower().replace("_", " ")))
