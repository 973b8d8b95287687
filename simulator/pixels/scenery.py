"""Assets of a pixel world: its objects, the colours or photos of its attribute, and their names;
read once.

Of every five pictures of a class, in the source's order, the fourth is for validation and the fifth
for the test. A source with its own test set keeps it, and every sixth of its other pictures is for
validation.

digits   scikit-learn's 1,797 scans of 8 x 8 pixels (UCI, Alpaydin and Kaynak 1998), unscaled unless
         a size is given: at 28 they contain no more, and a convolution takes twelve times as long
mnist    torchvision's files: root/MNIST/raw/*-ubyte, plain or gzipped; read here, never downloaded
cutouts  a folder with one subfolder per class, with PNG images that have transparency
coco     `simulator.pixels.coco`
"""

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from simulator.extras import installed
from simulator.pixels.coco import instances
from simulator.pixels.composition import cut, drawn_place, frame
from simulator.pixels.decoding import decode
from simulator.pixels.views import COLOURS, DIGIT_NAMES, Pixels
from simulator.streams import numpy_stream
from simulator.world import World

if TYPE_CHECKING:
    from PIL.Image import Image

PARTS = ("train", "validation", "test")
TURN = (0, 0, 0, 1, 2)  # part of every first, second, ... picture of a class
TURN_BESIDE_A_TEST = (0, 0, 0, 0, 0, 1)
PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MOST_HELD = 2**31  # bytes of a world's pictures
MOST_MNIST = 2**27  # bytes of one file; MNIST's largest has 47 million
# numbers that a CPU renders at a time: 1 MB in float32 fits the second-level cache
TOGETHER = 2**18


@dataclass(frozen=True, eq=False)
class Pictures:
    pixels: UInt8[torch.Tensor, "N C S S"]
    labels: Int[torch.Tensor, " N"]
    parts: Int[torch.Tensor, " N"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, part: str) -> Int[torch.Tensor, " M"]:
        """Rows of a part, class by class."""
        return (self.parts == PARTS.index(part)).nonzero()[:, 0]

    def counts(self, part: str) -> Int[torch.Tensor, " K"]:
        return torch.bincount(self.labels[self.rows(part)], minlength=len(self.names))

    def chosen(
        self, part: str, classes: Int[torch.Tensor, "*n"], uniform: torch.Tensor
    ) -> Int[torch.Tensor, "*n"]:
        """A row of the given class for every uniform number; all rows of a part are equally
        likely.
        """
        counts = self.counts(part)
        first = counts.cumsum(0) - counts
        # The product may round up to the count.
        place = torch.minimum((uniform * counts[classes]).to(torch.int64), counts[classes] - 1)
        return self.rows(part)[first[classes] + place]

    @property
    def digest(self) -> str:
        """SHA-256 of pixels, labels and parts."""
        total = sha256(repr((self.names, tuple(self.pixels.shape))).encode())
        for field in (self.pixels, self.labels, self.parts):
            total.update(field.cpu().numpy().tobytes())
        return total.hexdigest()


@dataclass(frozen=True, eq=False)
class Scenery:
    views: Pixels
    objects: Pictures
    photos: Pictures | None
    colours: UInt8[torch.Tensor, "A 3"] | None
    bare: UInt8[torch.Tensor, " 3"]
    shown: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of all pictures and colours."""
        parts = [
            self.objects.digest,
            self.colours.tolist() if self.photos is None else self.photos.digest,
        ]
        return "+".join(map(str, parts))

    def render(
        self,
        scans: Int[torch.Tensor, " n"],
        attributes: Int[torch.Tensor, " n"],
        photos: Int[torch.Tensor, " n"],
    ) -> UInt8[torch.Tensor, "n 3 S S"]:
        """Images of scenes: ground + coverage (object - ground), in sRGB like image editors."""
        # own: objects have their own colours
        objects = self.objects.pixels
        own = self.objects.pixels.shape[1] == 4
        images = objects.new_empty(len(scans), 3, *objects.shape[2:])
        size = max(1, TOGETHER // images[:1].numel()) if scans.device.type == "cpu" else len(scans)
        for k in range(0, len(scans), size):
            part = slice(k, k + size)
            pictures = objects[scans[part]]
            front = (
                pictures[:, :3].float() if own else self._plain(attributes[part], "object-colour")
            )
            if self.photos is None:
                ground = self._plain(attributes[part], "background-colour")
            else:
                ground = self.photos.pixels[photos[part]].float()
            # Adding .5 before truncation to integers rounds; no sum is below 0 or above 255.5.
            images[part] = torch.lerp(ground, front, pictures[:, -1:] * (1 / 255)).add_(0.5)
        return images

    def _plain(
        self, attributes: Int[torch.Tensor, " n"], coloured: str
    ) -> Float[torch.Tensor, "n 3 1 1"]:
        """Colour of a plain layer: the attribute's if the attribute colours this layer, else
        `bare`.
        """
        own = self.views.attribute == coloured
        return (self.colours[attributes] if own else self.bare.expand(len(attributes), 3)).float()[
            ..., None, None
        ]


def scenery(world: World, device: str = "cpu") -> Scenery:
    """The assets of a world, cached per process."""
    return assets(world.views, world.classes, world.background_count, device)


@lru_cache(maxsize=8)  # all digits of MNIST take 50 MB
def assets(views: Pixels, classes: int, backgrounds: int, device: str) -> Scenery:
    if device != "cpu":
        return _moved(assets(views, classes, backgrounds, "cpu"), device)
    photos = _photos(views, backgrounds) if views.attribute == "photos" else None
    colours = tuple(COLOURS)[:backgrounds]
    return Scenery(
        views=views,
        objects=_SOURCES[views.objects](views, classes),
        photos=photos,
        colours=(
            torch.tensor([COLOURS[name] for name in colours], dtype=torch.uint8)
            if photos is None
            else None
        ),
        # White objects on coloured backgrounds, a black ground behind coloured objects.
        bare=torch.full((3,), 0 if views.attribute == "object-colour" else 255, dtype=torch.uint8),
        shown=colours if photos is None else photos.names,
    )


def _moved(assets: Any, device: str) -> Any:
    """A Scenery or Pictures with its tensors on a device."""
    assets_there = {
        name: _moved(x, device) if isinstance(x, Pictures) else x
        for name, x in vars(assets).items()
    }
    return replace(
        assets,
        **{n: x.to(device) if isinstance(x, torch.Tensor) else x for n, x in assets_there.items()},
    )


def _digits(views: Pixels, classes: int) -> Pictures:
    scans = installed(
        "sklearn.datasets", "scikit-learn", "pixels", "objects = 'digits'"
    ).load_digits()
    coverage = np.rint(scans.images * (255 / 16)).astype(np.uint8)
    return _divided(
        _resized(coverage, views.side),
        scans.target.astype(np.int64),
        DIGIT_NAMES[:classes],
        "the digits",
    )


def _mnist(views: Pixels, classes: int) -> Pictures:
    sets = []
    raw = Path(views.root).expanduser() / "MNIST" / "raw"
    for part, file, turn in (
        ("train", "train", TURN_BESIDE_A_TEST),
        ("test", "t10k", (PARTS.index("test"),)),
    ):
        scans = _idx(raw / f"{file}-images-idx3-ubyte", 3)
        labels = _idx(raw / f"{file}-labels-idx1-ubyte", 1)
        if len(scans) != len(labels) or labels.max(initial=0) >= len(DIGIT_NAMES):
            raise ValueError(
                f"{raw} holds {len(scans)} scans and {len(labels)} labels up to"
                f" {labels.max(initial=0)} in its {part} set; expected as many labels as scans,"
                f" below {len(DIGIT_NAMES)}"
            )
        names = DIGIT_NAMES[:classes]
        what = f"MNIST's {part} set"
        sets.append(
            _divided(_resized(scans, views.side), labels.astype(np.int64), names, what, turn)
        )
    pixels, labels, parts = (
        torch.cat([getattr(x, name) for x in sets]) for name in ("pixels", "labels", "parts")
    )
    order = labels.argsort(stable=True)
    return Pictures(pixels[order], labels[order], parts[order], DIGIT_NAMES[:classes])


def _idx(path: Path, dimensions: int) -> UInt8[np.ndarray, "N ..."]:
    """Array in one MNIST file: a header of big-endian numbers (magic number, lengths), then
    bytes.
    """
    try:
        with (
            path.open("rb") if path.exists() else gzip.open(path.with_name(path.name + ".gz"), "rb")
        ) as file:
            data = file.read(MOST_MNIST)
    except FileNotFoundError:
        raise ValueError(
            f"{path} is missing, plain or gzipped; torchvision.datasets.MNIST(root, download=True)"
            " downloads it"
        ) from None
    except (OSError, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    header = 4 * (1 + dimensions)
    try:
        magic, *shape = np.frombuffer(data[:header], ">u4").tolist()
        numbers = np.frombuffer(data, np.uint8, offset=header).reshape(shape)
    except ValueError:
        magic = 0
    if magic != 0x800 + dimensions:
        raise ValueError(f"{path} is not an IDX file of {dimensions} dimensions")
    return numbers


def _cutouts(views: Pixels, classes: int) -> Pictures:
    def read(path: Path) -> np.ndarray:
        return placed(
            decode(path, "RGBA", still=True), f"{path.parent.name}/{path.name}", views.side
        )

    return _read_classes(views.root, classes, (".png",), 4, views.side, read)


def _coco(views: Pixels, classes: int) -> Pictures:
    names, objects_of_classes = instances(views.root, classes, views.categories)
    by_name = {one.name: one for one in objects_of_classes}
    pixels = _read_all(
        views.root, by_name, 4, views.side, lambda one: placed(one.cutout(), one.name, views.side)
    )
    labels = np.array([one.label for one in objects_of_classes], dtype=np.int64)
    return _divided(pixels, labels, tuple(map(word, names)), f"the folder {views.root!r}")


def placed(image: "Image", name: str, side: int) -> UInt8[np.ndarray, "4 S S"]:
    """A cut-out in its frame. Its scale and place depend on its name alone."""
    from PIL import Image  # start-up time

    visible, corner = cut(image, drawn_place(numpy_stream(0, f"place of {name}")), side)
    whole = Image.new("RGBA", (side, side))
    whole.paste(visible, corner)
    return np.moveaxis(np.asarray(whole), -1, 0)


def _photos(views: Pixels, backgrounds: int) -> Pictures:
    def read(path: Path) -> np.ndarray:
        return np.moveaxis(np.asarray(frame(decode(path, still=True), views.side)), -1, 0)

    return _read_classes(views.photos, backgrounds, PHOTOS, 3, views.side, read)


_SOURCES = {"digits": _digits, "mnist": _mnist, "cutouts": _cutouts, "coco": _coco}


def _read_classes(
    root: str,
    classes: int,
    suffixes: tuple[str, ...],
    channels: int,
    side: int,
    read: Callable[[Path], np.ndarray],
) -> Pictures:
    """The pictures in the first subfolders of a folder, one per class, ordered by number and
    name.
    """
    folder = Path(root).expanduser()
    try:
        folders = [
            path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
        ]
        kinds = sorted(folders, key=lambda path: _parts_of(path.name))[:classes]
        if len(kinds) < classes:
            words = f": {', '.join(kind.name for kind in kinds)}" if kinds else ""
            raise ValueError(f"{root!r} has {len(kinds)} subfolders{words}; {classes} are needed")
        files = [
            (k, path)
            for k, kind in enumerate(kinds)
            for path in sorted(kind.iterdir())
            if path.suffix.lower() in suffixes and not path.name.startswith(".")
        ]
    except OSError as error:
        raise ValueError(f"folder {root!r} cannot be read: {error.strerror}") from None
    pixels = _read_all(
        root, {f"{path.parent.name}/{path.name}": path for _, path in files}, channels, side, read
    )
    labels = np.array([k for k, _ in files], dtype=np.int64)
    names = tuple(word(kind.name) for kind in kinds)
    return _divided(pixels, labels, names, f"the folder {root!r}")


def _read_all(
    root: str, files: Mapping[str, Any], channels: int, side: int, read: Callable[[Any], np.ndarray]
) -> UInt8[np.ndarray, "N C S S"]:
    """All pictures of a source, in one shape. The error counts unusable pictures and names the
    first.
    """
    shape = (len(files), channels, side, side)
    if np.prod(shape) > MOST_HELD:
        raise ValueError(
            f"{len(files):,} pictures of {root!r} at size {side} take more than"
            f" {MOST_HELD / 2**30:.0f} GiB; choose a smaller size"
        )
    pixels = np.empty(shape, dtype=np.uint8)
    refused = []
    for i, (name, source) in enumerate(files.items()):
        try:
            pixels[i] = read(source)
        except ValueError as error:
            refused.append(f"{name!r} ({error})")
    if refused:
        raise ValueError(
            f"{len(refused)} of {len(files)} pictures of {root!r} cannot be used, the first"
            f" {refused[0]}"
        )
    return pixels


def word(name: str) -> str:
    """A folder's name as one word of a caption."""
    return re.sub(r"[\s_]+", "-", _parts_of(name)[1].lower())


def _parts_of(name: str) -> tuple[float, str]:
    """The number at the start of a name (infinite if there is none), and the rest."""
    number, rest = re.fullmatch(r"(\d+(?=[\s_]))?[\s_]*(.*?)\s*", name).groups()
    return (float(number) if number else float("inf")), rest or name


def _divided(
    pixels: UInt8[np.ndarray, "N C S S"],
    labels: Int[np.ndarray, " N"],
    names: tuple[str, ...],
    what: str,
    turn: tuple[int, ...] = TURN,
) -> Pictures:
    """Pictures of a source's first classes, divided into training, validation and test."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{what} has two classes that captions would call {twice!r}")
    rows = np.concatenate([np.flatnonzero(labels == k) for k in range(len(names))])
    counts = np.bincount(labels[rows], minlength=len(names))
    if counts.min() < len(turn):
        few = int(counts.argmin())
        raise ValueError(
            f"{what} has {counts[few]} of {names[few]!r}, too few for training, validation and"
            f" test; {len(turn)} are enough"
        )
    parts = np.concatenate([np.resize(turn, count) for count in counts])
    return Pictures(
        *(torch.from_numpy(np.ascontiguousarray(x)) for x in (pixels[rows], labels[rows], parts)),
        names,
    )


def _resized(scans: UInt8[np.ndarray, "N H W"], side: int) -> UInt8[np.ndarray, "N 1 S S"]:
    """Scans resized by bilinear interpolation, with averaging if they shrink."""
    pixels = torch.from_numpy(scans[:, None].copy())
    if pixels.shape[2:] != (side, side):
        scaled = torch.nn.functional.interpolate(
            pixels.float(), (side, side), mode="bilinear", antialias=True
        )
        pixels = scaled.round().clamp(0, 255).to(torch.uint8)
    return pixels.numpy()
