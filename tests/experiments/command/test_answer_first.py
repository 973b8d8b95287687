"""Screens of place, embeddings, evaluate and compare begin with the answer, and the rest is behind --verbose."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from experiments.command.counteranimal import comparison_screen
from experiments.command.output import PIPE_WIDTH
from experiments.heads.reliance import embeddings
from experiments.heads.tables import answer
from experiments.photos.robustness import compare, gather
from tests.experiments.conftest import draw_photo

LINES = 10  # below the sentence


def said(text: str) -> str:
    return " ".join(text.split())


def percents(p: float, ends: list[float]) -> str:
    low, high = ends
    return f"{100 * p:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"


def lines_below(screen: str, sentence: str) -> int:
    """Lines below the sentence with which the screen begins."""
    assert said(screen).startswith(sentence)
    lines = screen.splitlines()
    covered = next(i for i in range(len(lines)) if len(said(" ".join(lines[: i + 1]))) >= len(sentence))
    return len(lines) - covered - 1


@pytest.fixture
def counts(tmp_path):
    def write(common, counter, images=1000):
        path = tmp_path / "g.csv"
        path.write_text(f"group,accuracy,count\ncommon,{common},{images}\ncounter,{counter},{images}\n")
        return path

    return write


def test_place_begins_with_the_answer_and_its_theory_is_on_request(soberclip, counts):
    words = ("place", counts(0.95, 0.4), "--mu-spu", 1.5, "--sigma-xi", 6)
    document = soberclip(*words, "--json").document
    p, ends = document["equivalent_correlation"], document["interval95"]["equivalent_correlation"]
    assert len(document["theory"]) > 5
    screen = soberclip(*words).out
    sentence = "This classifier relies on the background as much as the best classifier of data in which "
    sentence += f"{percents(p, ends)} of the images are common"
    assert lines_below(screen, sentence) <= LINES
    assert f"p′ = {p:.3f}" in screen
    assert "common 95.00 % of 1,000, counter 40.00 % of 1,000" in screen
    assert "infonce" not in screen
    full = soberclip(*words, "--verbose").out
    assert said(full).startswith(sentence)
    assert "infonce" in full


@pytest.mark.parametrize(
    ("accuracies", "mu_spu", "sentence"),
    [
        ((0.9, 0.8), 0, "p′ is not determined: any p from "),
        ((1, 0), 1.5, "the drop is larger than that of every ideal classifier, and p′ = 1 stands for all of these"),
    ],
)
def test_place_begins_with_why_p_has_no_number_of_its_own(soberclip, counts, accuracies, mu_spu, sentence):
    screen = soberclip("place", counts(*accuracies, 100), "--mu-spu", mu_spu, "--sigma-xi", 6).out
    assert lines_below(screen, sentence) <= LINES


def planted(n: int, reliance: float, seed: int) -> dict[str, np.ndarray]:
    """Two classes on two backgrounds, and a prompt that shows the background by `reliance`."""
    rng = np.random.default_rng(seed)
    label, background = np.arange(n) % 2, np.arange(n) // 2 % 2
    image = rng.normal(size=(n, 6)) / 2
    image[:, 0] += 2 * label - 1
    image[:, 1] += 2 * background - 1
    text = np.zeros((2, 6))
    text[:, :2] = np.array([[-1], [1]]) * (1, reliance)
    return {"image": image, "label": label, "group": (label != background).astype(int), "text": text}


def test_embeddings_begin_with_the_answer(soberclip, tmp_path):
    np.savez(tmp_path / "mine.npz", **planted(800, 1.0, 0))
    screen = soberclip("embeddings", tmp_path / "mine.npz")
    head = soberclip("embeddings", tmp_path / "mine.npz", "--json").document["models"][0]["heads"][0]
    p, ends = head["equivalent_correlation"], head["interval"]["equivalent_correlation"]
    sentence = "zero-shot of mine relies on the background as much as the best classifier of data in which "
    sentence += f"{percents(p, ends)} of the photos are common"
    assert lines_below(screen.out, sentence) <= LINES
    assert f"drop {100 * head['drop']:.1f} points" in screen.out
    assert "squares" not in screen.out
    full = soberclip("embeddings", tmp_path / "mine.npz", "--verbose").out
    assert said(full).startswith(sentence)
    assert "squares" in full
    assert "test embeddings do not identify them" in said(full)


def test_an_unresolved_place_is_a_sentence_without_a_number():
    head = embeddings(**planted(64, 0.4, 0))["heads"][0]
    assert head["equivalent_correlation"] is None
    low, high = (f"{100 * end:.0f}" for end in head["interval"]["equivalent_correlation"])
    text = f"The photos do not resolve how much mine relies on the background: p′ lies within {low} to {high} %; "
    assert (
        answer("mine", head)
        == f"{text}about {head['photos_needed']:.1f} times as many photos of each group would resolve it"
    )


OWN = """
from types import SimpleNamespace
import numpy, torch

def model():
    return SimpleNamespace(
        preprocess=lambda image: torch.from_numpy(numpy.asarray(image.resize((2, 2)), dtype="float32")),
        encode_image=lambda pixels: pixels.mean(dim=(1, 2)),
        tokenizer=lambda texts: torch.tensor([[int("dog" in text)] for text in texts]),
        encode_text=lambda ids: torch.eye(3)[ids[:, 0]],
    )
"""


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Words of an evaluation of 2 classes, with 12 photos per class and group."""
    root = tmp_path_factory.mktemp("evaluated")
    for k, name in enumerate(("cat", "dog")):
        for group in ("common-grass", "counter-sky"):
            for i in range(12):
                draw_photo(root / "photos" / name / group / f"{i}.png", 100 * k + 2 * i + (group == "counter-sky"))
    (root / "classes.txt").write_text("cat\ndog\n")
    (root / "own.py").write_text(OWN)
    words = ["--data", root / "photos", "--classes", root / "classes.txt", "--workers", 0]
    return [*words, "--model", f"python:{root / 'own.py'}", "--cache", root / "cache", "--output", root / "out"]


def test_an_evaluation_begins_with_the_answer(run, evaluated):
    (document,), _ = run("evaluate", *evaluated, "--json")
    sentence = answer(document["model"], document["equivalent"])
    screen, _ = run("evaluate", *evaluated)
    assert lines_below(screen, sentence) <= LINES
    assert "mean over" not in screen
    full, _ = run("evaluate", *evaluated, "--verbose")
    assert said(full).startswith(sentence)
    assert "photos (micro)" in full


def test_a_comparison_begins_with_the_order(run, evaluated, tmp_path):
    run("evaluate", *evaluated, "--json")
    for name, p in (("one", 0.8), ("two", 0.3)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "predictions.csv").write_text((evaluated[-1] / "predictions.csv").read_text())
        summary = json.loads((evaluated[-1] / "summary.json").read_text())
        summary["equivalent"] |= {"equivalent_correlation": p, "replicates": []}
        summary["equivalent"]["interval"]["equivalent_correlation"] = [p - 0.1, p + 0.1]
        (folder / "summary.json").write_text(json.dumps(summary | {"model": name}))
    screen, _ = run("compare", tmp_path / "one", tmp_path / "two", "--output", tmp_path / "cmp")
    assert lines_below(screen, "In order of p′, the least reliance on the background first: two, one") <= LINES
    full, _ = run("compare", tmp_path / "one", tmp_path / "two", "--output", tmp_path / "cmp", "--verbose")
    assert said(full).startswith("In order of p′, the least reliance on the background first: two, one")
    assert "second - first" in full


def test_a_comparison_of_many_published_rows_is_short():
    document = compare(gather(["published"], "macro", "1000", "simple"))
    console = Console(width=PIPE_WIDTH, file=io.StringIO(), record=True)
    console.print(comparison_screen(document, verbose=False))
    screen = console.export_text()
    assert lines_below(screen, f"p′ is unknown: {document['equivalent_lacks']}") <= LINES
    best = max(document["rows"], key=lambda row: row["counter"])
    assert f"{best['model']}: counter {100 * best['counter']:.1f} %" in screen
