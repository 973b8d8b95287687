"""Kinds of views: how a world shows its labels, objects, backgrounds and mentions; the field
`World.views`.

None means the Gaussian views of the papers (`simulator.gaussian.pairs`). Any other kind is one file
with one class:

    @register
    class Symbols(Views):
        name = "symbols"
        length: int = 8

Its name is then a value of `kind` in a world's table [views], where no kind means pixels. Its
methods are

    inputs      shapes that the towers "image" and "text" read; ValueError for pictures that cannot
                be read
    draw        the first n pairs of a stream
    block_size  pairs in one block of a stream
    block       block `index` of every model's own stream
    prompts     one caption per class, (E, K, d_T), if captions have the law of `worlds`
    identity    data besides its fields that a world must share with a checkpoint
    trial       test images for one world, with a length and `images(rows)`
    accuracies  accuracy by group from the share (E, N, K) of each class in the decision on each
    image of a trial
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, SerializeAsAny, model_serializer

from simulator.base_model import Checked
from simulator.naming import add_row, unlisted

USUAL = "pixels"  # the kind of a table [views] that names none
GAUSSIAN = "simulator.gaussian.pairs"  # home of worlds without a kind


class Views(Checked):
    """A kind of views, whose fields are those of the table [views]. `register` adds a subclass.

    Attributes
    ----------
    name
        The value of `kind` in the table [views], and in messages.
    home
        The module whose functions draw pairs, prompts and test images; "" if they are methods of
        the class.
    """

    name: ClassVar[str]
    home: ClassVar[str] = ""

    @model_serializer(mode="wrap")
    def _with_kind(self, whole: Callable[["Views"], dict[str, Any]]) -> dict[str, Any]:
        return {**({} if self.name == USUAL else {"kind": self.name}), **whole(self)}

    @property
    def words(self) -> str:
        """A description for readers."""
        return f"views are {self.name}"

    def tied_of(self, classes: int) -> tuple[int, ...]:
        """The classes with a background of their own, among `classes` classes; the others show any,
        uniformly.
        """
        return tuple(range(classes))

    def check_classes(self, classes: int, backgrounds: int | None = None) -> None:
        """Raise ValueError if so many classes cannot be shown.

        Parameters
        ----------
        classes, backgrounds
            K, and A of a table or None.
        """


KINDS: dict[str, type[Views]] = {}


def register(kind: type[Views]) -> type[Views]:
    """Add a subclass of `Views` under its name; a class decorator. ValueError for a name in use."""
    return add_row(KINDS, kind, "a kind of views")


def declared(value: Any) -> Any:
    """The views of a table's fields; any other value as it is."""
    if not isinstance(value, Mapping):
        return value
    fields = dict(value)
    kind = str(fields.pop("kind", USUAL))
    if kind not in KINDS:
        raise ValueError(f"kind of views = {unlisted(kind, KINDS)}")
    return KINDS[kind].model_validate(fields)


AnyViews = Annotated[SerializeAsAny[Views], BeforeValidator(declared)]


def shown(world: Any) -> Any:
    """What draws the pairs, prompts and test images of a world, by its kind of views; it loads
    torch.
    """
    home = GAUSSIAN if world.views is None else world.views.home
    return import_module(home) if home else world.views
