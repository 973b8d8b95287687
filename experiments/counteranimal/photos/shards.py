"""Photos in tar files, as the webdataset library writes them: one folder of shards, or one shard.

A sample is a photo and, beside it under the same name, a JSON file with class, group and background. Where there is
none, the photo's path within the tar file is read like that of a tree: class/group-background/photo. Shards are never
unpacked: an index of offsets is made from their headers, and a photo is read where it lies.
"""

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from experiments.counteranimal.photos.listing import Entry, Listing
from experiments.counteranimal.photos.tree import GROUPS, SUFFIXES, Key
from experiments.errors import RequestError
from simulator.pixels.decoding import MOST_BYTES, decode_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_JSON = 2**20  # of a sample's description


@dataclass(frozen=True)
class Shards:
    """Where each photo lies: shard, offset, bytes."""

    root: Path
    members: dict[str, tuple[str, int, int]]

    def key(self, path: str) -> Key:
        """Path, size, and the time at which its shard was written."""
        shard, _, size = self.members[path]
        return path, size, (self.root / shard).stat().st_mtime_ns

    def image(self, path: str) -> "Image":
        """Decoded from its bytes in the shard."""
        shard, offset, size = self.members[path]
        if size > MOST_BYTES:
            raise ValueError(f"{size / 2**20:.0f} MiB, more than {MOST_BYTES // 2**20}")
        try:
            with open(self.root / shard, "rb") as file:
                file.seek(offset)
                data = file.read(size)
        except OSError as error:
            raise ValueError(error.strerror or "cannot be read") from error
        return decode_bytes(data)


def list_shards(data: Path) -> Listing:
    """The photos of a tar file, or of all in a folder; a photo is named shard/path in the shard.

    Raises RequestError for a shard that is cut off or no plain tar file, and a description that is none.
    """
    root, shards = (data.parent, [data]) if data.is_file() else (data, sorted(data.glob("*.tar")))
    listing = Listing([], Shards(root, {}))
    for shard in shards:
        _read(shard, listing)
    listing.entries.sort(key=lambda entry: entry.path)
    return listing


def _read(shard: Path, listing: Listing) -> None:
    photos: dict[str, dict[str, None]] = {}  # name without extension -> photos, each once: the last of a name counts
    described: dict[str, dict] = {}
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if not member.isfile():
                    if not member.isdir():  # a link, say, whose bytes lie elsewhere
                        listing.strays.append(f"{shard.name}/{path}")
                    continue
                stem = str(path.parent / path.name.split(".", 1)[0])  # webdataset's key ends at the first dot
                if path.suffix.lower() in SUFFIXES:
                    photos.setdefault(stem, {})[str(path)] = None
                    listing.files.members[f"{shard.name}/{path}"] = (shard.name, member.offset_data, member.size)
                elif path.suffix == ".json" and member.size <= LONGEST_JSON:
                    described[stem] = _description(shard, member.name, tar.extractfile(member).read())
                else:
                    listing.strays.append(f"{shard.name}/{path}")
            end = tar.offset
    except tarfile.TarError as error:
        raise RequestError(f"the shard {str(shard)!r} cannot be read ({error}); it may be cut off or packed") from error
    with open(shard, "rb") as file:  # tarfile takes a header that is cut off for the end, which is a block of zeros
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise RequestError(f"the shard {str(shard)!r} is cut off; copy it again")
    for stem, paths in photos.items():
        for path in paths:
            listing.add(_entry(shard, path, described.get(stem)))


def _description(shard: Path, name: str, data: bytes) -> dict:
    try:
        found = json.loads(data)
        if not isinstance(found["class"], str | int):
            raise ValueError("its class is no name")
        if found.get("group") not in (None, "", *GROUPS):
            raise ValueError(f"its group {found['group']!r} is neither common nor counter")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = "it has no class" if isinstance(error, KeyError) else str(error)
        raise RequestError(
            f"{name!r} in {str(shard)!r} does not describe a photo ({said}); it needs class, and group or background"
        ) from error
    return found


def _entry(shard: Path, path: str, described: dict | None) -> Entry:
    named = f"{shard.name}/{path}"
    if described is not None:
        background, group, thing = (str(described.get(k) or "") for k in ("background", "group", "object"))
        return Entry(named, str(described["class"]), background, group, thing)
    parts = PurePosixPath(path).parts
    if len(parts) < 2:
        raise RequestError(
            f"{path!r} in {str(shard)!r} has no description beside it and no class in its path; "
            f"put {PurePosixPath(path).stem}.json with class, group and background beside it"
        )
    class_name, place = (parts[-3], parts[-2]) if len(parts) > 2 else (parts[-2], "")
    return Entry(named, class_name, place)
