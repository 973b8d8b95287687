"""All that a pixel world shows: its objects, the colours or photos of its attribute, their names; read once."""

from dataclasses import dataclass, fields, replace
from functools import lru_cache

import torch
from jaxtyping import UInt8

from simulator.pixels.objects import objects, photos
from simulator.pixels.palette import rgb
from simulator.pixels.pictures import Pictures
from simulator.pixels.views import Pixels


@dataclass(frozen=True, eq=False)
class Scenery:
    """What the pairs of a pixel world are made of."""

    views: Pixels
    objects: Pictures
    photos: Pictures | None
    colours: UInt8[torch.Tensor, "K 3"] | None
    bare: UInt8[torch.Tensor, " 3"]
    shown: tuple[str, ...]

    @property
    def digest(self) -> str:
        """What a run saw, as SHA-256 of all pictures and colours."""
        seen = [self.objects.digest, self.colours.tolist() if self.photos is None else self.photos.digest]
        return "+".join(map(str, seen))

    def to(self, device: str) -> "Scenery":
        """The same on a device."""
        moved = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in moved.items() if hasattr(value, "to")})


@lru_cache(maxsize=8)  # MNIST takes 50 MB for all digits
def scenery(views: Pixels, classes: int, device: str = "cpu") -> Scenery:
    """What the pairs of a world are made of; a process reads its pictures once."""
    if device != "cpu":
        return scenery(views, classes).to(device)
    behind = photos(views, classes) if views.attribute == "photos" else None
    colours = () if behind is not None else views.palette(classes)
    return Scenery(
        views=views,
        objects=objects(views, classes),
        photos=behind,
        colours=None if behind is not None else torch.from_numpy(rgb(colours)),
        bare=torch.from_numpy(rgb((views.bare,))[0]),
        shown=colours if behind is None else behind.names,
    )
