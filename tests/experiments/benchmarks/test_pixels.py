"""The benchmark of rendering renders what it says."""

import torch

from experiments.benchmarks.pixels import drawn, rendered, standing_on_photos
from simulator.pixels.render import render
from simulator.pixels.views import Pixels
from simulator.world import World


def test_noise_before_noise():
    scene, rows = standing_on_photos(16), torch.arange(7)
    objects, photos = scene.objects.pixels[:7].double(), scene.photos.pixels[rows.flip(0)].double()
    coverage = objects[:, 3:] / 255
    blended = coverage * objects[:, :3] + (1 - coverage) * photos
    assert (render(scene, rows, rows, rows.flip(0)) - blended).abs().max() <= 0.5 + 1e-4
    assert min(rendered(scene, 3)) > 0
    assert min(drawn(World(views=Pixels()))) > 0
