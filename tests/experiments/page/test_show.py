"""`soberclip show`: contact sheets of groups, latents of any world, own files."""

import numpy as np
import pytest

from experiments.page.show import EACH, JOINED, examples, picture_of, sheet
from simulator.pixels.views import COLOURS, Pixels
from simulator.world import World
from theory.learners import InfoNCE


def test_a_contact_sheet(tmp_path, soberclip):
    file = tmp_path / "world.toml"
    # a flag completes it
    file.write_text("classes = 4\np_inv = 0.5\nmention_spu = 2\n[views]\ntied = [0, 1]\n")
    document = soberclip("show", "--world", file, "--mention-spu", 0, "--json").document
    assert document["output"] == str(tmp_path / "world.png")
    assert (tmp_path / "world.png").read_bytes().startswith(b"\x89PNG")
    assert document["objects"] == {"train": 436, "validation": 142, "test": 142}
    for row in document["images"]:
        assert row["caption"] == f"a photo of a {row['label']}"
        own = {"zero": "red", "one": "green"}.get(row["label"])
        if row["group"] == "common":
            assert row["attribute"] == own
        if row["group"] == "rev":
            assert {own, row["attribute"]} == {"red", "green"}
    cells = {(row["label"], row["group"]) for row in document["images"]}
    assert len(cells) == 2 * 4 + 2  # classes without an own colour have any colour
    assert len(document["images"]) == EACH * len(cells)


def test_images_of_the_sheet_have_the_named_colours():
    world = World(classes=3, views=Pixels(attribute="background-colour"))
    facts, images = examples(world, seed=1)
    for fact, image in zip(facts, images, strict=True):
        # no digit reaches this corner
        assert np.array_equal(image[-1, 0], COLOURS[fact["attribute"]])
    axes = sheet(facts, images).axes[0]
    assert len(axes.images) == len(facts) == 3 * 4 * EACH
    assert {fact["caption"] for fact in facts} <= {
        text.get_text().replace("\n", " ") for text in axes.texts
    }


@pytest.mark.parametrize(
    ("world", "rules", "curves"),
    [
        (World(mu_spu=2.0, sigma_xi=0.0), 3, 3),  # InfoNCE has no answer without noise
        (World(classes=3, p_inv=0.8), 3, 5),
        (World(mu_inv=0.0, mu_spu=0.0, sigma_inv=0.0, sigma_spu=0.0), 0, 0),
    ],
)
def test_latents_of_any_gaussian_world(world, rules, curves):
    figure, document = picture_of(world, 0)
    assert document["kind"] == "latents"
    assert (len(document["rules"]), len(document["curves"]), len(figure.axes[0].lines)) == (
        rules,
        curves,
        curves,
    )
    z = np.abs(np.concatenate([images.get_offsets() for images in figure.axes[0].collections])).max(
        axis=0
    )
    ends = np.array([figure.axes[0].get_xlim(), figure.axes[0].get_ylim()])
    assert (ends == np.where(z == 0, 1.0, 1.05 * z)[:, None] * [-1, 1]).all(), (
        "all images and a margin"
    )
    for name, u in document["rules"].items():
        (piece,) = document["curves"][name]
        assert np.abs(np.array(piece) @ u).max() < 1e-9  # boundary of the rule


def test_the_curve_of_infonce_parts_its_answers():
    world = World(mu_spu=1.5, sigma_xi=6.0)
    _, document = picture_of(world, 0)
    for name, prompt in (("typical appearance", "name"), ("average caption", "mean")):
        (piece,) = document["curves"][f"CLIP (InfoNCE), {name}"]
        for shift, label in ((-0.1, 1), (0.1, 0)):
            beside = np.array(piece) + np.array([shift, 0.0])
            assert (InfoNCE(prompt).scores(world, beside).argmax(axis=1) == label).all()


def test_arrows_lead_from_images_to_captions_that_tell_less():
    for g, bare, count in ((1.0, 0.5, 0), (0.3, 0.0, JOINED), (0.3, 1.0, 0)):
        figure, _ = picture_of(World(detail_inv=g, detail_spu=g, bare=bare), 0)
        assert len(figure.axes[0].texts) == count, (g, bare)
