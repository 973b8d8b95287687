"""Objects of a small data set in COCO's format: masks cut out their objects, and only the largest
is used.
"""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest.importorskip("pycocotools")

from simulator.pixels.coco import instances
from simulator.pixels.scenery import PARTS, assets, scenery
from simulator.pixels.views import Pixels
from simulator.world import World

SIDE = 96
COUNT = 10  # images, numbered down from 70
KINDS = {3: "car", 24: "zebra", 10: "traffic light"}  # COCO's numbers have gaps, too


def annotation(number, image, kind, box, **other):
    x, y, w, h = box
    corners = [x, y, x + w, y, x + w, y + h, x, y + h]
    own = {
        "id": number,
        "image_id": image,
        "category_id": kind,
        "segmentation": [corners],
        "area": w * h,
        "bbox": box,
    }
    return {**own, "iscrowd": 0, **other}


@pytest.fixture
def coco(tmp_path):
    """Ten images, each with a red object on grey; function(change) changes instances.json and
    writes it.
    """
    boxes = [(10 + 3 * i, 8 + 2 * i, 40, 50) for i in range(COUNT)]
    for i, (x, y, w, h) in enumerate(boxes):
        picture = Image.new("RGB", (SIDE, SIDE), (90, 90, 90))
        ImageDraw.Draw(picture).rectangle((x, y, x + w - 1, y + h - 1), fill=(250, 20 * i, 0))
        picture.save(tmp_path / f"{i:012}.png")
    document = {
        "images": [
            {"id": 70 - i, "file_name": f"{i:012}.png", "height": SIDE, "width": SIDE}
            for i in range(COUNT)
        ],
        "categories": [{"id": number, "name": name} for number, name in KINDS.items()],
        "annotations": [annotation(i, 70 - i, (3, 24)[i % 2], box) for i, box in enumerate(boxes)],
    }

    def write(change=lambda document: None):
        change(document)
        (tmp_path / "instances.json").write_text(json.dumps(document))
        return str(tmp_path)

    return write


def test_an_object_is_what_its_mask_says(coco, tmp_path, capfd):
    assert instances(coco(), 2)[0] == ("car", "traffic light")  # by their numbers
    (tmp_path / "images").mkdir()  # images may lie in a folder of their own
    for file in tmp_path.glob("*.png"):
        file.rename(tmp_path / "images" / file.name)
    names, found = instances(coco(), 2, ("zebra", "car"))
    # image 61 is the last file
    assert (names, [one.label for one in found]) == (("zebra", "car"), [0, 1] * 5)
    for i, one in enumerate(found):
        pixels = np.asarray(one.cutout())
        file = COUNT - 1 - i
        opaque = pixels[..., 3] == 255
        assert set(np.unique(pixels[..., 3])) == {0, 255}
        assert (pixels[opaque][:, :2] == (250, 20 * file)).all()
        assert opaque.sum() == 40 * 50
    assert capfd.readouterr().out == ""


def test_each_image_gives_its_largest_object_without_crowds_and_small_ones(coco):
    def more(document):
        document["annotations"] += [
            annotation(90, 70, 24, (0, 0, 60, 60)),  # larger than the car of that image
            annotation(91, 69, 3, (0, 0, 90, 90), iscrowd=1),
            annotation(92, 68, 10, (0, 0, 95, 95)),  # of a category that is not requested
        ]
        document["annotations"][3]["area"] = 1023

    _, found = instances(coco(more), 2, ("car", "zebra"))
    # Images 61 to 70; 67 has a small one only, and the last a zebra that is larger than its car.
    assert [one.label for one in found] == [1, 0, 1, 0, 1, 0, 0, 1, 1]
    assert found[-1].name == "object 90 of 000000000000.png"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda d: d["categories"][1].update(name="zebras"),
            r"'zebra' is not one of .*; the nearest is zebras$",
        ),
        (lambda d: d.pop("categories"), "is not in COCO's format|more than the 0 categories"),
        (lambda d: d["annotations"][0].pop("category_id"), "category_id"),
        (lambda d: d.update(annotations=3), "is not in COCO's format"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(coco, tmp_path, change, sentence):
    with pytest.raises(ValueError, match=r"instances\.json is missing"):
        instances(str(tmp_path), 2)
    with pytest.raises(ValueError, match=sentence) as caught:
        instances(coco(change), 2, ("car", "zebra"))
    assert "\n" not in str(caught.value)
    for text in ("[]", "{"):
        (tmp_path / "instances.json").write_text(text)
        with pytest.raises(ValueError, match="is not in COCO's format"):
            instances(str(tmp_path), 1)


@pytest.mark.parametrize(
    "segmentation", [[[1, 2]], {"counts": [SIDE * SIDE], "size": [SIDE, SIDE + 1]}, "circle"]
)
def test_an_invalid_mask_is_refused_with_its_reason(coco, segmentation):
    def spoiled(document):
        document["annotations"][-1]["segmentation"] = segmentation

    _, found = instances(coco(spoiled), 2, ("car", "zebra"))
    with pytest.raises(ValueError, match=r"^no mask of 96 x 96 pixels: ."):
        found[0].cutout()
    assets.cache_clear()
    with pytest.raises(
        ValueError, match=r"1 of 10 pictures of .* cannot be used, the first 'object 9 of .*9\.png'"
    ):
        scenery(World(views=Pixels(**WORLD, root=coco(spoiled))))


WORLD = {
    "objects": "coco",
    "attribute": "background-colour",
    "categories": ("car", "zebra"),
    "size": 32,
}


def test_a_world_of_them_shows_no_photo_in_two_parts(coco):
    assets.cache_clear()
    world = World(p_spu=0.8, views=Pixels(**WORLD, root=coco()))
    objects = scenery(world).objects
    assert objects.names == ("car", "zebra")
    assert [objects.counts(part).tolist() for part in PARTS] == [[3, 3], [1, 1], [1, 1]]
    opaque = objects.pixels[:, 3] == 255
    greens = [
        set(picture[1][seen].tolist()) for picture, seen in zip(objects.pixels, opaque, strict=True)
    ]
    assert sorted(map(sorted, greens)) == [[20 * i] for i in range(COUNT)]  # one image each
    assert (opaque.flatten(1).sum(1) > 0.3**2 * 32**2).all()
