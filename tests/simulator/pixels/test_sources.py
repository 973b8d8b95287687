"""Sources other than the embedded digits: files are read unchanged, and unusable ones give one
error message.
"""

import gzip
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from simulator.pixels.decoding import decode
from simulator.pixels.groups import trial
from simulator.pixels.pairs import draw
from simulator.pixels.scenery import PARTS, Scenery, assets, scenery, word
from simulator.pixels.views import Pixels
from simulator.world import World

Image = pytest.importorskip("PIL.Image")


def write_idx(folder, name: str, array: np.ndarray, packed: bool = False) -> None:
    header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
    file = folder / "MNIST" / "raw" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    data = header + array.astype(np.uint8).tobytes()
    (
        file.with_name(name + ".gz").write_bytes(gzip.compress(data))
        if packed
        else file.write_bytes(data)
    )


@pytest.fixture
def mnist(tmp_path):
    """Sixty training scans and ten test scans of three digits; scan i has uniform grey level i."""
    for name, first, count, packed in (("train", 0, 60, False), ("t10k", 100, 10, True)):
        scans = np.full((count, 28, 28), np.arange(first, first + count)[:, None, None])
        write_idx(tmp_path, f"{name}-images-idx3-ubyte", scans, packed)
        write_idx(tmp_path, f"{name}-labels-idx1-ubyte", np.arange(count) % 3, packed)
    return tmp_path


def read(root, classes: int = 2, **fields) -> Scenery:
    assets.cache_clear()  # each test writes its own folder, some of them twice
    return scenery(
        World(classes=classes, views=Pixels(**{"objects": "mnist", "root": str(root), **fields}))
    )


def test_mnist_keeps_its_test_set(mnist):
    objects = read(mnist).objects
    level = objects.pixels[:, 0, 0, 0]
    assert len(objects) == 47
    assert set(level[objects.rows("test")].tolist()) == {100, 101, 103, 104, 106, 107, 109}
    assert (level % 3 == torch.where(level < 100, objects.labels, (objects.labels + 1) % 3)).all()
    assert objects.counts("train").tolist() == [17, 17]
    assert objects.counts("validation").tolist() == [3, 3]
    assert objects.names == ("zero", "one")
    assert draw(World(views=Pixels(objects="mnist", root=str(mnist))), 4).images.shape == (
        4,
        3,
        28,
        28,
    )


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda raw: (raw / "train-labels-idx1-ubyte").unlink(),
            "train-labels-idx1-ubyte is missing",
        ),
        (
            lambda raw: (raw / "train-images-idx3-ubyte").write_bytes(b"\0" * 9),
            "is not an IDX file of 3 dimensions",
        ),
        (
            lambda raw: (raw / "t10k-images-idx3-ubyte.gz").write_bytes(b"no"),
            "cannot be read: Not a gzipped file",
        ),
        (
            lambda raw: write_idx(raw.parent.parent, "train-labels-idx1-ubyte", np.zeros(9)),
            "60 scans and 9 labels",
        ),
        (
            lambda raw: write_idx(raw.parent.parent, "train-labels-idx1-ubyte", np.full(60, 11)),
            "labels up to 11",
        ),
    ],
)
def test_a_damaged_mnist_is_one_sentence(mnist, damage, sentence):
    damage(mnist / "MNIST" / "raw")
    with pytest.raises(ValueError, match=sentence):
        read(mnist)


def square(colour=(200, 30, 60), alpha: int = 255) -> np.ndarray:
    """A square of one colour on a transparent ground."""
    picture = np.zeros((40, 40, 4), np.uint8)
    picture[10:30, 10:30] = (*colour, alpha)
    return picture


@pytest.fixture
def folders(tmp_path):
    """Cut-outs of two classes, five each, and photos of two places, each place of one colour."""
    for k, kind in enumerate(("2 Brown_bear", "1 cat")):
        (tmp_path / "objects" / kind).mkdir(parents=True)
        for i in range(5):
            Image.fromarray(square(colour=(250, 10 * i, 100 * k))).save(
                tmp_path / "objects" / kind / f"{i}.png"
            )
    for kind, colour in (("snow", (240, 240, 250)), ("grass", (20, 160, 40))):
        (tmp_path / "photos" / kind).mkdir(parents=True)
        for i in range(5):
            photo = np.tile(np.uint8(colour), (30, 50, 1))
            Image.fromarray(photo).save(tmp_path / "photos" / kind / f"{i}.png")
    return tmp_path


def cut_outs(folders, **fields) -> Scenery:
    views = {
        "objects": "cutouts",
        "attribute": "photos",
        "photos": str(folders / "photos"),
        "size": 32,
        **fields,
    }
    return read(folders / "objects", **views)


def test_cut_outs_stand_before_photos(folders):
    (folders / "objects" / "1 cat" / "._1.png").write_bytes(b"written by macOS beside 1.png")
    scene = cut_outs(folders)
    assert scene.objects.names == ("cat", "brown-bear")
    assert scene.shown == ("grass", "snow")
    assert [scene.objects.counts(part).tolist() for part in PARTS] == [[3, 3], [1, 1], [1, 1]]
    pairs = draw(World(p_spu=0.7, views=scene.views), 50)
    scenes = pairs.scenes
    assert torch.equal(pairs.scenery.photos.labels[scenes.photos], scenes.attributes)
    together = {*zip(scenes.scans.tolist(), scenes.photos.tolist(), strict=True)}
    assert len(together) > 2 * 2 * 3, (
        "one of three cut-outs stands before each of three photos of a place"
    )
    objects = scene.objects.pixels[scenes.scans].double()
    photos = scene.photos.pixels[scenes.photos].double()
    opacity = objects[:, 3:] / 255
    blended = opacity * objects[:, :3] + (1 - opacity) * photos
    assert (pairs.images - blended).abs().max() <= 0.5 + 1e-4
    whole = opacity[:, 0] == 1
    # their longer side is .4 of the frame or more
    assert whole.flatten(1).sum(1).min() > 0.3**2 * 32**2
    tried = trial(World(views=scene.views))
    assert len(tried) == 4
    assert set(tried.photos.tolist()) <= set(scene.photos.rows("test").tolist())


def test_an_object_has_one_place_whatever_it_stands_before(folders):
    first = cut_outs(folders)
    second = cut_outs(folders, attribute="background-colour", photos=None)
    assert torch.equal(first.objects.pixels, second.objects.pixels)
    tops = {tuple(x[3].nonzero()[0].tolist()) for x in first.objects.pixels}
    assert len(tops) > 5


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (
            square(alpha=100),
            (
                "1 of 10 pictures of .* cannot be used, the first '1 cat/3.png' .transparent"
                " throughout"
            ),
        ),
        (square()[..., :3], "the first '1 cat/3.png' .nowhere transparent"),
        (b"\x89PNG no", "the first '1 cat/3.png' .cannot identify image file"),
        (None, "has 4 of 'cat', too few for training, validation and test; 5 are enough"),
    ],
)
def test_cut_outs_that_cannot_be_used_are_counted(folders, picture, sentence):
    file = folders / "objects" / "1 cat" / "3.png"
    file.unlink()
    if isinstance(picture, bytes):
        file.write_bytes(picture)
    elif picture is not None:
        Image.fromarray(picture).save(file)
    with pytest.raises(ValueError, match=sentence):
        cut_outs(folders)


def test_folders_that_cannot_be_used_are_named(folders, monkeypatch):
    """Too few subfolders, none, one word for two classes, an animation, and more pictures than
    memory may hold.
    """

    def refused(words, read, **fields):
        with pytest.raises(ValueError, match=words):
            read(**fields)

    plain = {"attribute": "background-colour", "photos": None}
    cut = partial(cut_outs, folders)
    refused(" has 2 subfolders: grass, snow; 3 are needed", cut, classes=3)
    refused(
        "folder 'nowhere' cannot be read: No such file",
        partial(read, "nowhere"),
        objects="cutouts",
        **plain,
    )
    (folders / "objects" / "3 CAT").mkdir()
    for i in range(5):
        Image.fromarray(square()).save(folders / "objects" / "3 CAT" / f"{i}.png")
    refused("two classes that captions would call 'cat'", cut, classes=3, **plain)
    frames = [Image.fromarray(np.full((9, 9, 3), level, np.uint8)) for level in (1, 2)]
    frames[0].save(folders / "photos" / "snow" / "1.png", save_all=True, append_images=frames[1:])
    refused(r"'snow/1.png' .animated, 2 frames", cut)
    monkeypatch.setattr("simulator.pixels.scenery.MOST_HELD", 1000)
    refused("pictures of .* at size 32 take more than 0 GiB", cut)


def test_words_of_folders():
    words = {"10 snow": "snow", "Polar_bear": "polar-bear", "7": "7", "9 king  snake": "king-snake"}
    assert [*map(word, words)] == [*words.values()]


# Files of any source: pictures are decoded, others are refused with a reason.


def test_a_postscript_file_named_as_a_photo_is_not_run(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(
        EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was called")
    )
    (tmp_path / "a.jpg").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n"
    )
    with pytest.raises(ValueError, match=r"^cannot identify image file$"):
        decode(tmp_path / "a.jpg")


def test_a_small_file_of_many_pixels_is_not_decoded(tmp_path):
    """10,000 x 6,000 in a few bytes: the size is read before the pixels."""
    header = struct.pack(">IIBBBBB", 10_000, 6_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(ValueError, match=r"^60 megapixels, more than 50$"):
        decode(tmp_path / "a.png")


def test_a_file_larger_than_any_photo_is_not_read(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as handle:
        handle.truncate(300 * 2**20)  # sparse
    for file, words in (
        (tmp_path / "a.jpg", "^300 MiB, more than 256$"),
        (Path("/dev/null"), "not a regular file"),
    ):
        with pytest.raises(ValueError, match=words):
            decode(file)


def test_animations_are_refused_if_a_still_image_is_needed(tmp_path):
    frames = [Image.new("RGB", (9, 9), (90 * i, 0, 0)) for i in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert decode(tmp_path / "a.gif").size == (9, 9)
    with pytest.raises(ValueError, match=r"^animated, 3 frames$"):
        decode(tmp_path / "a.gif", still=True)
