"""Objects cut out of COCO's photos by their masks (Lin et al. 2014, arXiv 1405.0312); read here,
never downloaded.

The root folder holds instances.json, in COCO's format. The images lie beside it or in its subfolder
"images". Crowds and objects that COCO calls small are left out. Each image gives its largest object
only, so no two parts share one.
"""

from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

from simulator.extras import installed
from simulator.naming import suggestion
from simulator.pixels.decoding import decode

if TYPE_CHECKING:
    from PIL.Image import Image

INSTANCES = "instances.json"
SMALL = 32**2  # pixels of a mask, by COCO's own measure


@dataclass(frozen=True)
class Instance:
    index: Any
    annotation: dict[str, Any]
    file: Path
    label: int

    @property
    def name(self) -> str:
        return f"object {self.annotation['id']} of {self.file.name}"

    def cutout(self) -> "Image":
        from PIL import Image  # start-up time
        from pycocotools import mask

        image = decode(self.file, still=True)
        try:
            runs = self.index.annToRLE(self.annotation)
            if tuple(runs["size"]) != (image.height, image.width):
                raise ValueError(f"its size is {runs['size'][1]} x {runs['size'][0]}")
            with catch_warnings():
                simplefilter("ignore", DeprecationWarning)  # numpy 2 warns of pycocotools 2.0.11
                opaque = mask.decode(runs)
        except Exception as error:  # pycocotools raises errors of many types
            size = f"{image.width} x {image.height}"
            raise ValueError(
                f"no mask of {size} pixels: {error or type(error).__name__}"
            ) from error
        image.putalpha(Image.fromarray(255 * opaque))
        return image


def instances(
    root: str, classes: int, categories: tuple[str, ...] | None = None
) -> tuple[tuple[str, ...], list[Instance]]:
    """Names of the categories, and their objects ordered by photo number."""
    folder = Path(root).expanduser()
    file = folder / INSTANCES
    index = _index(file)
    beside = folder / "images" if (folder / "images").is_dir() else folder
    try:
        numbers = {kind["name"]: number for number, kind in sorted(index.cats.items())}
        if len(numbers) < classes:
            raise ValueError(
                f"classes = {classes} are more than the {len(numbers)} categories of {file}"
            )
        for name in categories or ():
            if name not in numbers:
                raise ValueError(
                    f"category {name!r} is not one of the {len(numbers)} of"
                    f" {file}{suggestion(name, numbers)}"
                )
        names = tuple(categories or numbers)[:classes]
        kinds = [numbers[name] for name in names]
        objects = [
            Instance(
                index,
                annotation,
                beside / index.imgs[image]["file_name"],
                kinds.index(annotation["category_id"]),
            )
            for image, annotation in _largest(index, kinds).items()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is not in COCO's format ({error!r})") from None
    return names, objects


def _index(file: Path) -> Any:
    COCO = installed("pycocotools.coco", "pycocotools", "coco", "objects = 'coco'").COCO
    if not file.is_file():
        raise ValueError(
            f"{file} is missing; copy instances_val2017.json of cocodataset.org there, or a file of"
            " that format"
        )
    try:
        with redirect_stdout(StringIO()):  # COCO prints its progress to stdout
            return COCO(str(file))
    except Exception as error:  # assertions, missing keys, JSON errors
        raise ValueError(
            f"{file} is not in COCO's format ({type(error).__name__}: {error})"
        ) from None


def _largest(index: Any, kinds: list[int]) -> dict[int, dict[str, Any]]:
    """Image number -> its largest object of these categories, in the order of image numbers."""
    largest: dict[int, dict[str, Any]] = {}
    for _, annotation in sorted(index.anns.items()):
        wanted = (
            annotation["category_id"] in kinds
            and not annotation.get("iscrowd")
            and annotation["area"] >= SMALL
        )
        if wanted and annotation["area"] > largest.get(annotation["image_id"], {"area": 0})["area"]:
            largest[annotation["image_id"]] = annotation
    return dict(sorted(largest.items()))
