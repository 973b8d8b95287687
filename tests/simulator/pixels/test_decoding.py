"""Files in a folder of pictures: pictures are decoded, others are refused with a reason."""

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from simulator.pixels.decoding import decode


def test_a_postscript_file_named_as_a_photo_is_not_run(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was called"))
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n")
    with pytest.raises(ValueError, match=r"^cannot identify image file$"):
        decode(tmp_path / "a.jpg")


def test_a_small_file_of_many_pixels_is_not_decoded(tmp_path):
    """10,000 x 6,000 in a few bytes: the size is read before the pixels."""
    header = struct.pack(">IIBBBBB", 10_000, 6_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(ValueError, match=r"^60 megapixels, more than 50$"):
        decode(tmp_path / "a.png")


def test_a_file_larger_than_any_photo_is_not_read(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as handle:
        handle.truncate(300 * 2**20)  # sparse
    for file, words in ((tmp_path / "a.jpg", "^300 MiB, more than 256$"), (Path("/dev/null"), "not a regular file")):
        with pytest.raises(ValueError, match=words):
            decode(file)


def test_gray_palette_and_alpha_become_rgb(tmp_path):
    for mode in ("L", "RGBA", "P", "1", "CMYK", "I;16"):
        file = tmp_path / f"{mode.replace(';', '')}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (4, 3)).save(file)
        assert decode(file).mode == "RGB"


def test_animations_are_refused_if_a_still_image_is_needed(tmp_path):
    frames = [Image.new("RGB", (9, 9), (90 * i, 0, 0)) for i in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert decode(tmp_path / "a.gif").size == (9, 9)
    with pytest.raises(ValueError, match=r"^animated, 3 frames$"):
        decode(tmp_path / "a.gif", still=True)
