"""Screens of evaluate and compare begin with the answer; test_golden_screens.py has those of place and embeddings."""

import json

import numpy as np
from planted_embeddings import balanced, planted

from experiments.command.counteranimal import comparison_screen, summary_table
from experiments.command.output import PIPE_WIDTH
from experiments.heads.reliance import embeddings
from experiments.heads.tables import answer
from experiments.photos.robustness import compare, gather
from tests.experiments.conftest import draw_photo, shown

LINES = 10  # below the sentence


def said(text: str) -> str:
    return " ".join(text.split())


def lines_below(screen: str, sentence: str) -> int:
    """Lines below the sentence with which the screen begins."""
    assert said(screen).startswith(sentence)
    lines = screen.splitlines()
    covered = next(i for i in range(len(lines)) if len(said(" ".join(lines[: i + 1]))) >= len(sentence))
    return len(lines) - covered - 1


def test_an_answer_has_its_percentages_or_says_why_it_has_none():
    head = embeddings(**planted(np.random.default_rng(0), 800))["heads"][0]
    p, low, high = head["equivalent_correlation"], *head["interval"]["equivalent_correlation"]
    sentence = "mine relies on the background as much as the best classifier of data in which "
    sentence += f"{100 * p:.0f} % ({100 * low:.0f} to {100 * high:.0f} %) of the photos are common"
    assert answer("mine", head) == sentence
    head = embeddings(**balanced(np.random.default_rng(0), 20))["heads"][0]
    assert head["equivalent_correlation"] is None
    low, high = (f"{100 * end:.0f}" for end in head["interval"]["equivalent_correlation"])
    sentence = f"The photos do not resolve how much mine relies on the background: p′ lies within {low} to {high} %; "
    sentence += f"about {head['photos_needed']:.1f} times as many photos of each group would resolve it"
    assert answer("mine", head) == sentence


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


def test_an_evaluation_and_a_comparison_begin_with_the_answer(run, tmp_path):
    """Of two classes, with 12 photos per class and group."""
    for k, name in enumerate(("cat", "dog")):
        for group in ("common-grass", "counter-sky"):
            for i in range(12):
                draw_photo(tmp_path / "photos" / name / group / f"{i}.png", 100 * k + 2 * i + (group == "counter-sky"))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "own.py").write_text(OWN)
    words = ["--data", tmp_path / "photos", "--classes", tmp_path / "classes.txt", "--workers", 0]
    words += ["--model", f"python:{tmp_path / 'own.py'}", "--cache", tmp_path / "cache", "--output", tmp_path / "out"]
    (document,), _ = run("evaluate", *words, "--json")
    sentence = answer(document["model"], document["equivalent"])
    screen, full = (shown(summary_table([document], verbose), PIPE_WIDTH) for verbose in (False, True))
    assert lines_below(screen, sentence) <= LINES
    assert "mean over" not in screen
    assert said(full).startswith(sentence)
    assert "photos (micro)" in full

    for name, p in (("one", 0.8), ("two", 0.3)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "predictions.csv").write_text((tmp_path / "out" / "predictions.csv").read_text())
        head = document["equivalent"] | {"equivalent_correlation": p, "replicates": []}
        head |= {"interval": {**head["interval"], "equivalent_correlation": [p - 0.1, p + 0.1]}}
        (folder / "summary.json").write_text(json.dumps(document | {"model": name, "equivalent": head}))
    compared, _ = run("compare", tmp_path / "one", tmp_path / "two", "--output", tmp_path / "cmp", "--json")
    assert (tmp_path / "cmp" / "comparison.svg").read_text().startswith("<?xml")
    assert len((tmp_path / "cmp" / "comparison.csv").read_text().splitlines()) == 3
    sentence = "In order of p′, the least reliance on the background first: two, one"
    screen, full = (shown(comparison_screen(compared, verbose), PIPE_WIDTH) for verbose in (False, True))
    assert lines_below(screen, sentence) <= LINES
    assert said(full).startswith(sentence)
    assert "second - first" in full


def test_a_comparison_of_many_published_rows_is_short():
    document = compare(gather(["published"], "macro", "1000", "simple"))
    screen = shown(comparison_screen(document, verbose=False), PIPE_WIDTH)
    assert lines_below(screen, f"p′ is unknown: {document['equivalent_lacks']}") <= LINES
    best = max(document["rows"], key=lambda row: row["counter"])
    assert f"{best['model']}: counter {100 * best['counter']:.1f} %" in screen
