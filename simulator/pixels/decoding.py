"""Image files from unknown sources: checked for size, then decoded by Pillow itself."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

# Formats that Pillow decodes itself. It passes PostScript files to Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
MOST_PIXELS = 50_000_000  # 150 MB as RGB per decoding process; more than a camera's 48 megapixels
MOST_BYTES = 256 * 2**20


def decode(file: Path, mode: str = "RGB", still: bool = False) -> "Image":
    """The image in a file, fully decoded. Raises ValueError for what is not a complete image."""
    from PIL import Image  # start-up time

    try:
        size = file.stat().st_size
        if not file.is_file():
            raise ValueError("not a regular file")  # reading a FIFO might never end
        if size > MOST_BYTES:
            raise ValueError(f"{size / 2**20:.0f} MiB, more than {MOST_BYTES // 2**20}")
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                megapixels = image.width * image.height / 1e6
                raise ValueError(f"{megapixels:.0f} megapixels, more than {MOST_PIXELS / 1e6:.0f}")
            if still and getattr(image, "n_frames", 1) > 1:
                raise ValueError(f"animated, {image.n_frames} frames")
            return image.convert(mode)
    except Exception as error:  # Pillow's decoders raise errors of many types
        message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        # without a path or an object's address
        reason = re.sub(r"(cannot identify image file).*", r"\1", message)
        raise ValueError(reason or type(error).__name__) from error
