"""Photos in COCO format with red boxes and black discs on grey, a small CLIP, and a small command line."""

import json

import pytest

SIDE, COUNT = 64, 20  # photos; each class has ten, every fifth for the test
KINDS = {3: "car", 24: "zebra"}


def _draw(folder, i, disc):
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (SIDE, SIDE), (90, 90, 90))
    box = (8 + i % 5, 6 + i % 7, 48 + i % 5, 46 + i % 7)
    draw = ImageDraw.Draw(picture)
    (draw.ellipse if disc else draw.rectangle)(box, fill=(10, 10, 5 * i) if disc else (240, 5 * i, 10))
    picture.save(folder / f"{i:012}.png")
    x, y, right, low = box
    return {
        "id": i, "image_id": i, "category_id": 24 if disc else 3, "iscrowd": 0, "bbox": [x, y, right - x, low - y],
        "segmentation": [[x, y, right, y, right, low, x, low]], "area": (right - x) * (low - y),
    }  # fmt: skip


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Folder of the data set."""
    pytest.importorskip("pycocotools")
    folder = tmp_path_factory.mktemp("coco")
    document = {
        "images": [{"id": i, "file_name": f"{i:012}.png", "height": SIDE, "width": SIDE} for i in range(COUNT)],
        "categories": [{"id": number, "name": name} for number, name in KINDS.items()],
        "annotations": [_draw(folder, i, i % 2 == 1) for i in range(COUNT)],
    }
    (folder / "instances.json").write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="session")
def small_clip(random_clip, tiny_config):
    """A CLIP whose predictions differ between photos and change within a few steps."""
    pytest.importorskip("open_clip")
    return random_clip({**tiny_config, "text_cfg": {**tiny_config["text_cfg"], "width": 8}}, seed=2, scale=2)


@pytest.fixture
def request_words(photos, small_clip, tmp_path):
    """Command line of a run that takes seconds; a world file names the two categories."""
    world = tmp_path / "world.toml"
    world.write_text(
        'p_spu = 0.9\nclasses = 2\n[views]\nobjects = "coco"\nattribute = "background-colour"\n'
        'categories = ["car", "zebra"]\n'
    )
    return (
        "finetune", "--root", photos, "--model", f"open_clip:local-dir:{small_clip}", "--world", world,
        "--n", "64", "--batch-size", "16", "--steps", "3", "--warmup", "1", "--weight-decay", "0.1",
        "--axis", "lr=1e-3", "--replicates", "2",
    )  # fmt: skip
