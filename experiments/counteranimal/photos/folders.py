"""Trees of files: class/group-background/photos, class/background/photos, or class/photos.

    LAION-final/9 ostrich, Struthio camelus/common-ground/1.jpg      index and name
    CounterAnimal/ostrich/counter-water/2.jpeg                       name only, resolved by the class lists
    photos/n01518878/beach/3.webp                                    WordNet id

Everything is sorted, because the order of a directory listing differs between file systems.
"""

from dataclasses import replace
from pathlib import Path

from experiments.counteranimal.photos.listing import Entry, Listing
from experiments.counteranimal.photos.tree import SUFFIXES, Folder
from experiments.errors import RequestError
from experiments.files import read_table

MANIFEST = "composites.csv"  # the object of each photo, in a tree of composites
REQUEST = "compose.json"  # lies beside it, and alone while they are being made


def list_folders(root: Path) -> Listing:
    """Photos two levels below `root`, or one where classes have no backgrounds; of composites their objects too.

    Raises RequestError for composites that are not finished.
    """
    listing = Listing([], Folder(root))
    for folder in sorted(root.iterdir()):
        parts = sorted(folder.iterdir()) if folder.is_dir() else []
        if not any(part.is_dir() or _photo(part) for part in parts):
            listing.strays.append(folder.name)
        for part in parts:
            if part.is_dir():
                listing.places.add((folder.name, part.name))
                for file in sorted(part.iterdir()):
                    _sort(file, Entry(f"{folder.name}/{part.name}/{file.name}", folder.name, part.name), listing)
            else:
                _sort(part, Entry(f"{folder.name}/{part.name}", folder.name, ""), listing)
    return _with_objects(root, listing) if {MANIFEST, REQUEST} & set(listing.strays) else listing


def _sort(file: Path, entry: Entry, listing: Listing) -> None:
    """Put a file where it belongs: among the photos or the strays."""
    if _photo(file):
        listing.add(entry)
    else:
        listing.strays.append(entry.path)


def _photo(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.is_dir()


def _with_objects(root: Path, listing: Listing) -> Listing:
    if not (root / MANIFEST).exists():
        raise RequestError(f"the composites in {str(root)!r} are not finished; run the compose that makes them again")
    objects = {row["file"]: row["object"] for row in read_table(root / MANIFEST, ("file", "object"), "manifest")}
    entries = [replace(entry, object=objects.get(entry.path, "")) for entry in listing.entries]
    strays = [stray for stray in listing.strays if stray not in (MANIFEST, REQUEST)]
    return replace(listing, entries=entries, strays=strays)
