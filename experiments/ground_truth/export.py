"""A world as a data set for other people's training code: WebDataset shards, test images, prompts,
and the truth.

Every shard has streams of its own and is written atomically. A started export therefore resumes
after its last shard, and a shorter export has the first shards of a longer one.
"""

import json
import shutil
import tarfile
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from experiments.errors import RequestError, check_within, checked_seed
from experiments.files import (
    output_folder,
    read_json,
    write_atomically,
    write_json,
    write_table,
    write_text,
)
from experiments.ground_truth.pictures import (
    DIMENSIONS,
    MOST_ROUNDING,
    PIXELS,
    levels_per_unit,
    pixels,
    png,
    templates,
)
from experiments.ground_truth.sentences import ANIMALS, sentence
from experiments.ground_truth.truth import theory_rows, worded_prompts, worded_rows
from experiments.lab.config import check_same, world_fields, world_toml
from simulator.accuracy import GROUPS
from simulator.progress import track
from simulator.streams import numpy_stream
from simulator.world import World
from theory.binned_captions import BINS, NONE, BinnedCaptions
from theory.unit_embeddings import needed_scale

RECORD = "export.json"
SHARD = 10_000  # pairs
MEMBER = 1024  # bytes of a file of up to 512 bytes in a tar archive
RECORD_SIZE = 10_240  # a tar archive is a multiple of it
BATCH, BATCHES = 256, 16  # for the loss at the optimum
EPOCHS = 5  # of the command in README.txt, together as long as the training set
VALUES, ERROR = 1000, 0.05  # of a further attribute of captions, as an example
WARMUP = 100  # steps, and of short trainings a tenth
MOST_PAIRS = 10**8
Row = tuple[str, np.ndarray, dict[str, Any]]  # key, picture, facts


def export(
    world: World,
    path: Path | str,
    n: int = 300_000,
    seed: int = 0,
    test_images: int = 20_000,
    theory: bool = True,
) -> dict[str, Any]:
    """Write a world as pictures with captions in words, for training code such as open_clip.

    The same request resumes an export that was interrupted.

    Parameters
    ----------
    world
        One world with Gaussian views, at most ten classes and backgrounds, and dim_image = 64.
    path
        A new or empty folder, or one with a started export of the same request.
    n
        Training pairs, in shards of 10,000.
    seed
        Root of the streams, 0 or larger.
    test_images
        Test images per group; of 20,000 p' is known to about .01.
    theory
        Whether to find p' and r of every learner and prompt, which takes a minute with ten classes.
        The same request with True adds them later.

    Returns
    -------
    dict
        The request, the sizes, the fraction of clipped values, the loss at the optimum, and
        `theory`: a row for each learner and prompt, or None. README.txt in the folder says the same
        in words.

    Raises
    ------
    RequestError
        For a world that has no such pictures or captions, and for a folder with anything else in
        it.
    RunError
        If the disk fails. Finished shards are kept.
    """
    check_request(world, n, seed, test_images)
    request = {"world": world_fields(world), "n": n, "seed": seed, "test_images": test_images}
    folder = _folder(Path(path), json.loads(json.dumps(request)), size_of(world, n, test_images))
    words = BinnedCaptions(world)
    levels = _levels(words)
    counts = enumerate(_counts(n))
    shards = {
        f"train-{i:05d}.tar": partial(_training_rows, words, seed, i, count, levels)
        for i, count in counts
    }
    manifest: list[tuple[str, int, str]] = []
    clipped = 0.0
    for group in test_groups(world):
        for i, count in enumerate(_counts(test_images)):
            rows, fraction = _test_rows(words, seed, group, i, count, levels)
            shards[f"test-{GROUPS[group]}-{i:05d}.tar"] = partial(iter, rows)
            manifest += [(f"{key}.png", facts["label"], facts["group"]) for key, _, facts in rows]
            clipped += fraction * count
    for name in track(shards, len(shards), "shards", str):
        if not (folder / name).exists():
            write_atomically(folder / name, partial(_write_shard, rows=shards[name]()))
    loss, error = _loss(words, seed)
    document = {
        "verb": "export",
        "request": request,
        "files": len(shards),
        "bytes": sum((folder / name).stat().st_size for name in shards),
        "grey_levels": levels,
        "clipped": clipped / len(manifest),
        "batch_size": BATCH,
        "loss": loss,
        "loss_error": error,
        "theory": [*theory_rows(world), *worded_rows(world)] if theory else None,
    }
    prompts = {
        name: [sentence(world, row) for row in rows] for name, rows in worded_prompts(world).items()
    }
    write_table(folder / "manifest.csv", ("file", "label", "group"), manifest)
    write_text(folder / "world.toml", world_toml(world))
    write_json(folder / "prompts.json", prompts)
    write_json(output_folder(folder / "model") / "open_clip_config.json", _model(world))
    write_text(folder / "README.txt", _readme(world, document, prompts))
    write_json(folder / RECORD, document)
    return document


def check_request(world: World, n: int, seed: int, test_images: int) -> None:
    """Raise RequestError for a size out of range, and for a world whose pictures or captions would
    not have its law.
    """
    check_within("n", n, 1, MOST_PAIRS)
    check_within("test_images", test_images, 1, MOST_PAIRS)
    checked_seed(seed)
    if world.shape:
        raise RequestError(
            f"an export shows one world, and this is a grid of shape {world.shape}; choose one"
        )
    if world.views is not None or world.attribute:
        what = "[views]" if world.views is not None else "[[attribute]]"
        raise RequestError(f"an export shows Gaussian views with one background; leave out {what}")
    if (most := max(world.class_count, world.background_count)) > len(ANIMALS):
        raise RequestError(
            f"an export has words for {len(ANIMALS)} classes and backgrounds, not for {most}"
        )
    if world.dim_image != DIMENSIONS:
        near = np.sqrt(world.nu_image * DIMENSIONS)
        same = f"the same noise per value has dim_image = {DIMENSIONS} and sigma_xi = {near:.6g}"
        raise RequestError(
            f"dim_image = {world.dim_image}, but pictures have {DIMENSIONS} grey values; {same}"
        )
    if world.mu_inv == 0:
        raise RequestError("mu_inv = 0: no picture shows its class; choose another mu_inv")
    try:
        words = BinnedCaptions(world)
    except ValueError as error:
        raise RequestError(str(error)) from None
    if (words.caption_variance == 0).any():
        raise RequestError(
            "captions without noise and without variation have no bins; choose sigma_xi_text"
            " above 0"
        )
    rounding = 1 / 12 / _levels(words) ** 2
    if rounding > MOST_ROUNDING * world.nu_image:
        near = np.sqrt(DIMENSIONS * rounding / MOST_ROUNDING)
        little = f"sigma_xi = {world.sigma_xi:g} is too little noise for pictures of 8 bits"
        adds = f"whose rounding adds more than {MOST_ROUNDING:.0%} to it"
        raise RequestError(f"{little}, {adds}; choose at least {near:.2g}")


def size_of(world: World, n: int, test_images: int) -> int:
    """Bytes of the tar archives, exactly."""
    parts = [(count, 3) for count in _counts(n)]  # picture, caption, labels
    parts += [(count, 2) for _ in test_groups(world) for count in _counts(test_images)]
    return sum(
        -(-(count * files * MEMBER + MEMBER) // RECORD_SIZE) * RECORD_SIZE for count, files in parts
    )


def test_groups(world: World) -> list[int]:
    return np.unique(world.mixture().test_groups).tolist()


def _counts(n: int) -> list[int]:
    return [min(SHARD, n - start) for start in range(0, n, SHARD)]


def _folder(folder: Path, request: dict[str, Any], size: int) -> Path:
    """The folder, with a record of the request. Raises RequestError if it holds anything else, or
    has no room.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        record = read_json(folder / RECORD)
        if not (isinstance(record, dict) and record.get("verb") == "export"):
            raise RequestError(
                f"{str(folder)!r} exists and holds no export, so it is kept; name a new folder"
            )
        check_same(str(folder), "export", record["request"], request)
    output_folder(folder)
    room = shutil.disk_usage(folder).free + sum(file.stat().st_size for file in folder.iterdir())
    if room < size:
        raise RequestError(
            f"the export needs {size:.2g} bytes, and {str(folder)!r} has room for {room:.2g};"
            " lower n"
        )
    for half in folder.glob(".*.tar.*"):  # of an export that was killed
        half.unlink()
    if not (folder / RECORD).exists():
        write_json(folder / RECORD, {"verb": "export", "request": request})
    return folder


def _levels(words: BinnedCaptions) -> float:
    """Grey levels per unit that fit images of which every group has the same weight."""
    means = words.mixture.means
    second_moment = np.diag(words.mixture.variances) + means.T @ means / len(means)
    return levels_per_unit(second_moment, float(words.world.nu_image))


def _training_rows(
    words: BinnedCaptions, seed: int, i: int, count: int, levels: float
) -> Iterator[Row]:
    x, captions, labels, backgrounds = _pairs(words, seed, f"export/train/{i}", count)
    pictures, _ = pixels(x, levels)
    for j in range(count):
        facts = {"label": int(labels[j]), "background": int(backgrounds[j])}
        yield (
            f"{i * SHARD + j:09d}",
            pictures[j],
            {**facts, "caption": sentence(words.world, captions[j])},
        )


def _pairs(words: BinnedCaptions, seed: int, stream: str, count: int) -> tuple[np.ndarray, ...]:
    """(images, captions, labels, backgrounds) of training pairs.

    The world's sampler draws them with captions that mention full. Phrases are omitted afterwards,
    since a reader of words sees what is omitted.
    """
    from simulator.gaussian.pairs import dictionaries, draw_pairs  # start-up time: torch

    world, mixture = words.world, words.mixture
    full = world.replace(mention_inv=1.0, mention_spu=1.0)
    D_T = dictionaries(full, seed)[1]
    blocks = list(draw_pairs(full, (templates(world.latents), D_T), count, seed, stream=stream))
    x, texts, labels, backgrounds = (np.concatenate(field) for field in zip(*blocks, strict=True))
    latents = texts @ D_T
    captions = words.binned(latents)
    mentioned = (
        numpy_stream(seed, f"{stream}/mention").random((count, len(world.mention))) < world.mention
    )
    captions[:, 1:][~mentioned[:, mixture.block]] = NONE
    if world.bare > 0:
        patterns = np.array(
            [mixture.label_means[mixture.labels == y][0] for y in range(world.class_count)]
        )
        distance = ((latents[:, None] - patterns) ** 2).sum(axis=-1)
        captions = np.where(texts[:, -1:] == 1, words.bare(distance.argmin(axis=1)), captions)
    return x, captions, labels, backgrounds[:, 0]


def _test_rows(words: BinnedCaptions, seed: int, group: int, i: int, count: int, levels: float):
    """Images of one group of the test law, and the fraction of clipped values."""
    mixture = words.mixture
    rng = numpy_stream(seed, f"export/test/{GROUPS[group]}", i)
    name = GROUPS[group]
    weights = np.where(mixture.test_groups == group, mixture.test_weights, 0.0)
    which = rng.choice(len(weights), count, p=weights / weights.sum())
    z = mixture.means[which] + np.sqrt(mixture.variances) * rng.standard_normal(
        (count, len(mixture.variances))
    )
    noise = np.sqrt(words.world.nu_image) * rng.standard_normal((count, DIMENSIONS))
    pictures, clipped = pixels(z @ templates(z.shape[1]).T + noise, levels)
    facts = [
        {
            "label": int(mixture.labels[g]),
            "background": int(mixture.backgrounds[g, 0]),
            "group": name,
        }
        for g in which
    ]
    return [(f"{name}-{i * SHARD + j:09d}", pictures[j], facts[j]) for j in range(count)], clipped


def _write_shard(file: Path, rows: Iterator[Row]) -> None:
    """A tar archive with the picture, the facts, and perhaps the caption, of each row under one
    key.
    """
    with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as archive:
        for key, picture, facts in rows:
            caption = facts.pop("caption", None)
            parts = {"png": png(picture), "json": json.dumps(facts).encode()}
            if caption is not None:
                parts["txt"] = caption.encode()
            for kind, content in parts.items():
                member = tarfile.TarInfo(f"{key}.{kind}")
                member.size = len(content)
                archive.addfile(member, BytesIO(content))


def _loss(words: BinnedCaptions, seed: int) -> tuple[float, float]:
    """Symmetric InfoNCE loss of the optimum in nats, for batches of BATCH pairs, and its standard
    error.
    """
    from scipy.special import log_softmax  # start-up time

    losses = []
    for i in range(BATCHES):
        x, captions, *_ = _pairs(words, seed, f"export/loss/{i}", BATCH)
        score = words.critic(x @ templates(words.world.latents), captions)
        losses.append(
            -sum(np.trace(log_softmax(score, axis=axis)) for axis in (0, 1)) / (2 * BATCH)
        )
    return float(np.mean(losses)), float(np.std(losses, ddof=1) / np.sqrt(BATCHES))


def _model(world: World) -> dict[str, Any]:
    """A small CLIP for pictures of this size and captions of this length, in open_clip's format."""
    longest = BinnedCaptions(world).binned(np.zeros((1, world.latents)))
    words = len(sentence(world, longest[0]).split())
    vision = {
        "image_size": PIXELS,
        "patch_size": PIXELS,
        "width": 64,
        "layers": 2,
        "head_width": 32,
    }
    # and two marks
    text = {"context_length": words + 2, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1}
    model = {"embed_dim": 32, "vision_cfg": vision, "text_cfg": text}
    return {"model_cfg": model, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.1] * 3}}


def _readme(world: World, document: dict[str, Any], prompts: dict[str, list[str]]) -> str:
    from jinja2 import Environment, StrictUndefined  # start-up time

    n = document["request"]["n"]
    template = (Path(__file__).parent / "readme.txt.jinja").read_text(encoding="utf-8")
    size = (
        "the size of the animal, by which classes differ"
        if world.class_count == 2
        else "one size per class"
    )
    shade = (
        "the shade of the ground" if world.background_count == 2 else "one shade per kind of ground"
    )
    last = len(_counts(n)) - 1
    samples = max(1, n // EPOCHS)
    # plain text needs no escapes
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(template).render(
        **document,
        **document["request"],
        levels=f"{document['grey_levels']:g}",
        rounding=1 / 12 / document["grey_levels"] ** 2,
        nu=float(world.nu_image),
        bins=BINS,
        told=f"{size}, and {shade}",
        prompts=prompts,
        samples=samples,
        warmup=min(WARMUP, EPOCHS * -(-samples // BATCH) // 10),
        shards=f"train-{{00000..{last:05d}}}.tar" if last else "train-00000.tar",
        number=lambda x: "    none" if x is None else f"{x:z8.4f}",
        values=VALUES,
        error=ERROR,
        needed=f"{needed_scale(VALUES, ERROR):.1f}",
    )
