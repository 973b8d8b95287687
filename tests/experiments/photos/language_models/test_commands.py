"""`evaluate --model lvlm:FOLDER` from the command line."""

import json

import pytest

from experiments.files import read_table


@pytest.fixture
def evaluate(soberclip, shared_tree, tmp_path):
    """evaluate on the shared tree, with cache and results below the test's folder."""

    def run(*arguments, data=shared_tree, output="out"):
        where = ("--cache", tmp_path / "cache", "--output", tmp_path / output, "--workers", "0")
        return soberclip("counteranimal", "evaluate", "--data", data, *arguments, *where)

    return run


def test_labels_scored_beside_a_clip(evaluate, folder, tiny_clip, tmp_path):
    """1 vs 20 with a reference model that is not evaluated; both models get the same sets."""
    models = ("--model", f"lvlm:{folder('llava')}", "--model", f"open_clip:local-dir:{tiny_clip}")
    reference = ("--labels", "20", "--reference", f"open_clip:local-dir:{tiny_clip}")
    first = evaluate(*models, *reference, "--json")
    assert first.status == 0, first.err
    language, clip = first.document
    assert (language["family"], clip["family"]) == ("LVLM", "CLIP")
    assert language["label_sets"] == clip["label_sets"]
    assert language["image_passes"] == 32
    sets = json.loads((tmp_path / "out" / "confusing.json").read_text())["labels"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    rows = read_table(tmp_path / "out" / names[0] / "predictions.csv", ("path", "predicted_index"), "predictions")
    assert all(int(row["predicted_index"]) in sets[row["class_index"]] for row in rows)

    again = evaluate(*models[:2], "--labels", "20", "--confusing", tmp_path / "out" / "confusing.json", output="again")
    assert again.status == 0, again.err
    assert "1 vs 20 is an oracle label space" in again.err
    summary = json.loads((tmp_path / "again" / "summary.json").read_text())
    assert summary["image_passes"] == 0  # the same labels: scores are cached
    assert summary["macro"] == language["macro"]


def test_a_language_model_selects_labels_and_backgrounds(evaluate, soberclip, folder, shared_tree, tmp_path):
    spec = f"lvlm:{folder('llava')}"
    (tmp_path / "classes.txt").write_text("".join(f"{path.name}\n" for path in shared_tree.iterdir() if path.is_dir()))
    model = ("--model", spec, "--classes", tmp_path / "classes.txt")
    found = evaluate(*model, "--labels", "20", "--reference", spec, "--json")
    assert found.status == 0, found.err
    sets = json.loads((tmp_path / "out" / "confusing.json").read_text())["labels"]
    assert {tuple(sorted(labels)) for labels in sets.values()} == {(0, 1, 2, 3)}
    where = ("--data", shared_tree, "--cache", tmp_path / "cache", "--output", tmp_path / "discovered")
    found = soberclip("counteranimal", "discover", *model, "--min-photos", "2", *where, "--workers", "0", "--json")
    assert found.status == 0, found.err
    assert found.document["model"]["spec"] == spec
