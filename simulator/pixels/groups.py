"""Test images of pixel worlds: every object of a part with every attribute, weighted group by
group.

A group is a law of label, object and attribute, so its accuracy is a weighted mean over the same
images:

    common    the label's own attribute (tied classes)
    counter   another class's attribute, uniformly (tied classes)
    rand      any attribute, uniformly (tied classes): Rand of [W]
    rev       another tied class's attribute, uniformly (tied classes): Rev of [W]
    rest      any attribute, uniformly (classes without an attribute of their own): Rest of [W]
    trained   the training law, all classes, on test objects

With a table: common, counter and unseen (`simulator.mixture`), rand of all classes, and trained.

In every group the object shown is the label's with probability p_inv, as in [W], where no Rest
accuracy exceeds p_inv by more than its scatter.

That Rev always shows the other's attribute, and that K classes have K colours, is our reading of
Table 8 of [W]. Let A(o) and A(r) be the accuracies in the own and the other's colour, and q the
probability that colour wins against a contradicting object. For two classes A(o) = p_inv + (1 -
p_inv) q, A(r) = p_inv (1 - q) and Rand = (A(o) + A(r))/2. If Rev is A(r), this Rand differs from
the printed one by .011 in root mean square over eight rows; if Rev showed the own colour with
probability 1 - p_spu, by .033. With two colours for all classes A(o) = 2 Rand - Rev would be 1.04
at K = 8 and p_inv = p_spu = .9, which is impossible.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from simulator.accuracy import GROUPS
from simulator.mixture import cell_groups, cell_shares
from simulator.pixels.scenery import Scenery, scenery
from simulator.streams import numpy_stream
from simulator.world import World

# images, equally many per class: two tied classes have a standard error of up to 2.5 points
LARGEST_TRIAL = 20_000


@dataclass(frozen=True, eq=False)
class Trial:
    scenery: Scenery
    scans: Int[torch.Tensor, " N"]
    objects: Int[torch.Tensor, " N"]
    attributes: Int[torch.Tensor, " N"]
    photos: Int[torch.Tensor, " N"]  # zeros in worlds without photos

    def __len__(self) -> int:
        return len(self.scans)

    def images(self, rows: slice = slice(None)) -> UInt8[torch.Tensor, "n 3 S S"]:
        return self.scenery.render(self.scans[rows], self.attributes[rows], self.photos[rows])


def trial(world: World, part: str = "test", seed: int = 0, device: str = "cpu") -> Trial:
    """Every object of a part with every attribute, up to LARGEST_TRIAL images."""
    scene = scenery(world, device)
    A = world.background_count
    counts = scene.objects.counts(part).tolist()
    rows = scene.objects.rows(part)
    most = max(1, LARGEST_TRIAL // (world.classes * A))
    rows_of_class = torch.cat([own[:most] for own in rows.split(counts)])
    scans = rows_of_class.repeat_interleave(A)
    attributes = torch.arange(A, device=device).repeat(len(rows_of_class))
    photos = torch.zeros_like(attributes)
    if scene.photos is not None:
        uniform = numpy_stream(seed, f"{part}/photo").random(len(scans))
        photos = scene.photos.chosen(part, attributes, torch.from_numpy(uniform).to(device))
    return Trial(scene, scans, scene.objects.labels[scans], attributes, photos)


def weights(world: World, trial: Trial) -> dict[str, Float[np.ndarray, "K N"]]:
    """Joint probability of label and image in each group of the world."""
    K = world.classes
    own = np.eye(world.classes)
    objects = trial.objects.cpu().numpy()
    attributes = trial.attributes.cpu().numpy()
    p_object = np.where(own, world.p_inv, (1 - world.p_inv) / (K - 1)) / np.bincount(
        objects[attributes == 0]
    )
    return {group: law[:, attributes] * p_object[:, objects] for group, law in _laws(world).items()}


def _laws(world: World) -> dict[str, Float[np.ndarray, "K A"]]:
    """Joint probability of label and attribute in each group."""
    K, A = world.classes, world.background_count
    if world.table is not None:
        cells = cell_groups(world.table, world.common)
        shares = cell_shares(cells)
        groups = {
            name: np.where(cells == g, shares, 0.0)
            for g, name in enumerate(GROUPS)
            if (cells == g).any()
        }
        return {**groups, "rand": np.full((K, A), 1 / (K * A)), "trained": world.joint_law()}
    own = np.eye(K)
    tied = world.views.tied_of(K)
    free = tuple(k for k in range(K) if k not in tied)
    alike = np.full((K, K), 1 / K)
    reversed_ = np.zeros((K, K))
    reversed_[np.ix_(tied, tied)] = (1 - np.eye(len(tied))) / (len(tied) - 1)
    laws = {
        "common": (tied, own),
        "counter": (tied, (1 - own) / (K - 1)),
        "rand": (tied, alike),
        "rev": (tied, reversed_),
        "rest": (free, alike),
        "trained": (tuple(range(K)), world.background_law()),
    }
    return {
        group: (np.isin(np.arange(K), classes) / len(classes))[:, None] * law
        for group, (classes, law) in laws.items()
        if classes
    }


def accuracies(
    world: World, trial: Trial, shares: Float[np.ndarray, "E N K"]
) -> dict[str, Float[np.ndarray, " E"]]:
    return {group: np.einsum("enk,kn->e", shares, w) for group, w in weights(world, trial).items()}
