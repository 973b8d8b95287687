"""How a pixel world looks: its objects, its attribute and its captions; the field `World.views`.

The law is World's: the object shown is the label's with probability p_inv, else another's. The
attribute is the class's own with probability p_spu, else uniform on the others. If `tied` lists
classes, the other classes show uniform attributes (our reading of MultiColoredMNIST, Wang et al.,
arXiv 2403.11497, appendix D.3).
"""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field, StrictInt, model_validator

from simulator import quantities as q
from simulator.base_model import documented
from simulator.views import Views, register

Source = Literal["digits", "mnist", "cutouts", "coco"]
Shown = Literal["object-colour", "background-colour", "photos"]

DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# CIELAB distances are at least 36 between two colours, and 44 from white and black.
COLOURS = {
    "red": (230, 25, 45),
    "green": (40, 160, 50),
    "blue": (40, 80, 230),
    "yellow": (255, 220, 40),
    "purple": (150, 30, 180),
    "cyan": (60, 210, 230),
    "orange": (245, 130, 40),
    "pink": (250, 140, 200),
    "brown": (130, 80, 40),
    "lime": (170, 240, 60),
}

# Default side of the images: the scans' own, or large enough to recognise animals.
SIDES: dict[Source, int] = {"digits": 8, "mnist": 28, "cutouts": 64, "coco": 64}

# Required contents of a root, for error messages.
ROOTS: dict[Source, str] = {
    "mnist": "the folder that torchvision.datasets.MNIST(root, download=True) fills",
    "cutouts": "a folder with one subfolder per class, which holds transparent PNG images",
    "coco": "a folder with instances.json and the images that it names",
}


@register
@documented
class Pixels(Views):
    """How the objects and the attribute of a world are shown; in TOML the table [views].

    Parameters
    ----------
    {fields}

    Raises
    ------
    pydantic.ValidationError
        For a value outside its domain, a missing or superfluous root or photos, fewer than two tied
        classes, a class tied twice, and attribute "object-colour" for objects with colours of their
        own.
    """

    name: ClassVar[str] = "pixels"
    home: ClassVar[str] = "simulator.pixels.pairs"

    objects: Source = Field(
        default="digits",
        description=(
            "where objects come from: digits (scikit-learn's 1,797 scans), mnist, cutouts, coco"
        ),
    )
    attribute: Shown = Field(
        default="object-colour",
        description=(
            "what the attribute is: object-colour, background-colour, or photos behind the object"
        ),
    )
    tied: tuple[StrictInt, ...] | None = Field(
        default=None, description="classes with an attribute of their own; unset: all"
    )
    told: Literal["label", "object"] = Field(
        default="label",
        description=(
            "class that captions name if the object shown is another's: the label's, as in [W], or"
            " the object's, as in Gaussian worlds"
        ),
    )
    root: str | None = Field(default=None, description="folder of the objects")
    photos: str | None = Field(
        default=None,
        description="folder with a subfolder of photos for every class, ordered by name",
    )
    categories: tuple[str, ...] | None = Field(
        default=None,
        description="categories of COCO, one per class; unset: the file's first, by number",
    )
    size: q.ImageSide | None = None

    @model_validator(mode="after")
    def _means_something(self):
        for fault in self._faults():
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        objects = f"objects = {self.objects!r}"
        tied = f"tied = {list(self.tied or ())}"
        if self.objects in ROOTS and self.root is None:
            yield f"{objects} needs root, {ROOTS[self.objects]}"
        if self.objects not in ROOTS and self.root is not None:
            yield (
                f"root = {self.root!r} is of no use to {objects}, which come with scikit-learn;"
                " leave it out"
            )
        if self.categories is not None and self.objects != "coco":
            yield (
                f"categories = {list(self.categories)} are of no use to {objects}; use them with"
                " 'coco'"
            )
        if (self.attribute == "photos") != (self.photos is not None):
            yield (
                "attribute = 'photos' and photos (a folder with a subfolder of photos for every"
                " class) go together"
            )
        if self.attribute == "object-colour" and self.objects in ("cutouts", "coco"):
            yield (
                f"{objects} have colours of their own; choose attribute = 'background-colour' or"
                " 'photos'"
            )
        if self.tied is not None and (
            len({*self.tied}) < max(2, len(self.tied)) or min(self.tied) < 0
        ):
            yield f"{tied} are not two or more different classes, counted from 0"

    @property
    def side(self) -> int:
        """Height and width of the images, in pixels."""
        return SIDES[self.objects] if self.size is None else self.size

    @property
    def words(self) -> str:
        """A description for readers."""
        tied = "" if self.tied is None else f" of classes {', '.join(map(str, self.tied))}"
        return (
            f"{self.objects} of {self.side} x {self.side} pixels, the attribute{tied} is"
            f" {self.attribute}"
        )

    def tied_of(self, classes: int) -> tuple[int, ...]:
        return super().tied_of(classes) if self.tied is None else self.tied

    def check_classes(self, classes: int, backgrounds: int | None = None) -> None:
        limits = []
        if self.objects in ("digits", "mnist"):
            limits.append(("classes", classes, len(DIGIT_NAMES), "digits"))
        if self.categories is not None:
            limits.append(("classes", classes, len(self.categories), "categories given"))
        if self.attribute != "photos":
            subject = ("classes", classes) if backgrounds is None else ("backgrounds", backgrounds)
            limits.append((*subject, len(COLOURS), "colours of the palette"))
        for name, count, most, what in limits:
            if count > most:
                raise ValueError(
                    f"{name} = {count} are more than the {most} {what}; the nearest valid value is"
                    f" {most}"
                )
        if backgrounds is not None and self.tied is not None:
            raise ValueError(
                f"tied = {list(self.tied)} has no meaning beside a table, which ties every class"
            )
        last = max(self.tied_of(classes))
        if last >= classes:
            raise ValueError(
                f"tied = {list(self.tied_of(classes))} names class {last}; the classes are 0 to"
                f" {classes - 1}"
            )
