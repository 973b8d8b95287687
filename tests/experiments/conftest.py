"""Fixtures: the command line as a function, small trees of image files, and small random models."""

import io
import json
import os
from collections import Counter
from dataclasses import dataclass

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may use the network

import numpy as np
import pytest
from rich.console import Console

from experiments.command.main import main
from simulator import progress


@dataclass
class Run:
    """Output and status of one command."""

    status: int
    out: str
    err: str

    @property
    def document(self):
        """stdout as JSON; fails unless stdout is one JSON document and nothing else."""
        return json.loads(self.out)


def shown(view, width=200):
    """The words of a screen so wide."""
    stream = io.StringIO()
    Console(file=stream, width=width, markup=False).print(view)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "users cache"))


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """No test prints progress, because some tests compare the whole output."""
    monkeypatch.setattr(progress, "PATIENCE", 3600.0)


@pytest.fixture
def soberclip(capfd):
    """soberclip("predict", "--json") -> Run, with output captured from the file descriptors."""

    def run(*arguments: str) -> Run:
        capfd.readouterr()
        status = main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return Run(status, out, err)

    return run


SPREAD = {  # class folder -> group folder -> photos; class 6 has an empty group
    "9 ostrich, Struthio camelus": {"common-ground": 5, "counter-water": 4},
    "10 brambling, Fringilla montifringilla": {"common-grass": 3, "counter-sky": 6},
    "16 bulbul": {"common-sky": 4, "common-branch-with-fruit": 2, "counter-grass": 5},
    "30 bullfrog, Rana catesbeiana": {"common-water": 3, "counter-": 0},
}


def group_counts(photo_set):
    """Class index -> number of photos (common, counter)."""
    seen = Counter(zip(photo_set.photos.class_index, photo_set.photos.group, strict=True))
    return {index: (seen[index, "common"], seen[index, "counter"]) for index in photo_set.classes}


def draw_photo(path, seed, size=(50, 40)):
    """A noisy picture with a dominant colour, so that random models distinguish photos."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, size=3)
    pixels = np.clip(base + rng.integers(-60, 60, size=(size[1], size[0], 3)), 0, 255).astype(
        np.uint8
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photo():
    return draw_photo


def build_tree(root, spread=SPREAD):
    """A tree with alternating suffixes; two files share a stem, but are two photos."""
    seed = 0
    for folder, groups in spread.items():
        for group, count in groups.items():
            (root / folder / group).mkdir(parents=True)
            for i in range(count):
                suffix = (".jpg", ".png", ".jpeg", ".JPG")[i % 4]
                draw_photo(
                    root / folder / group / f"{i // 2}{suffix}", seed, (50 + i, 40 + seed % 7)
                )
                seed += 1
    return root


@pytest.fixture
def tree(tmp_path):
    return build_tree(tmp_path / "LAION-final")


@pytest.fixture(scope="session")
def shared_tree(tmp_path_factory):
    return build_tree(tmp_path_factory.mktemp("data") / "LAION-final")


@pytest.fixture(scope="session")
def tiny_config():
    return {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "layers": 2,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 16,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
        },
    }


@pytest.fixture(scope="session")
def random_clip(tmp_path_factory):
    """Function: configuration, seed and scale of the weights -> folder of an open_clip model."""

    def make(tower_config, seed, scale):
        import open_clip
        import torch
        from safetensors.torch import save_file

        folder = tmp_path_factory.mktemp("clip")
        config = {
            "model_cfg": tower_config,
            "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]},
        }
        (folder / "open_clip_config.json").write_text(json.dumps(config))
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
            # Untrained towers predict one label for every photo; larger weights vary the
            # predictions.
            for name, value in model.named_parameters():
                if "weight" in name or "proj" in name or "embedding" in name:
                    value.mul_(scale)
        save_file(model.state_dict(), folder / "open_clip_model.safetensors")
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_clip(random_clip, tiny_config):
    return random_clip(tiny_config, seed=1, scale=4)


@pytest.fixture(scope="session")
def clip(tiny_clip):
    from experiments.photos.models import load

    return load(f"open_clip:local-dir:{tiny_clip}")


def random_weights(module, file, seed=0):
    """Save the state of a module after a seeded initialisation as safetensors."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            value.copy_(
                torch.randn(value.shape, generator=generator) / max(1, value[0].numel()) ** 0.5
            )
    save_file({k: v.contiguous() for k, v in module.state_dict().items()}, file)
    return file


@pytest.fixture(scope="session")
def squeezenet(tmp_path_factory):
    import torchvision

    module = torchvision.models.squeezenet1_1(weights=None)
    return random_weights(module, tmp_path_factory.mktemp("torchvision") / "squeezenet.safetensors")


@pytest.fixture(scope="session")
def timm_weights(tmp_path_factory):
    import timm

    module = timm.create_model("test_resnet.r160_in1k", pretrained=False)
    return random_weights(
        module, tmp_path_factory.mktemp("timm") / "test_resnet.safetensors", seed=3
    )


@pytest.fixture
def run(capsys):
    """Function: runs a verb like the command line; returns (document of --json or text, stderr)."""
    from experiments.command.main import photos

    def call(*arguments):
        words = [str(argument) for argument in arguments]
        photos(words, exit_on_error=False, print_error=False, result_action="return_value")
        captured = capsys.readouterr()
        return (json.loads(captured.out) if "--json" in words else captured.out), captured.err

    return call
