"""The stored runs of open_clip: their places, the table of the lab's page, and the figure of the
first page.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from experiments.ground_truth.place import place
from experiments.page.front import LINES
from experiments.page.open_clip import IMAGES, PANELS, runs, trained, world_of
from theory.binned_captions import BinnedCaptions
from theory.ideal_curve import equivalent

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def theory():
    found = {}
    for detail in PANELS:
        words = BinnedCaptions(world_of(detail))
        prompts = [prompt for prompt, *_ in LINES]
        accuracies = words.accuracies(np.array([words.prompts(prompt) for prompt in prompts]))
        for prompt, accuracy in zip(prompts, accuracies, strict=True):
            found[detail, prompt] = equivalent(words.world, accuracy).correlation
    return found


def last_checkpoints():
    return runs().groupby(["detail", "last", "seed", "prompt"]).correlation.last()


def test_places_of_stored_runs_are_those_of_place():
    run = runs().loc[len(runs()) // 2]
    counts = {"common": (run.common, IMAGES), "counter": (run.counter, IMAGES)}
    assert run.correlation == pytest.approx(
        place(counts, world=world_of(int(run.detail))).correlation, abs=1e-9
    )


def test_the_table_of_the_lab_has_the_last_checkpoint_of_every_run_and_the_theory(theory):
    found = re.findall(
        r"^\| (every|no) look \| (\S+) \| ?(\d?) ?\| (\S+) \| (\S+) \| (\S+) \|$",
        (ROOT / "experiments/lab/README.md").read_text(),
        re.MULTILINE,
    )
    expected = {}
    for (detail, last, seed, prompt), correlation in last_checkpoints().items():
        expected.setdefault((detail, f"{last:,}", str(seed)), {})[prompt] = correlation
    for (detail, prompt), correlation in theory.items():
        expected.setdefault((detail, "theory", ""), {})[prompt] = correlation
    assert {
        (int(looks == "every"), pairs, seed) for looks, pairs, seed, *_ in found
    } == expected.keys()
    for looks, pairs, seed, *printed in found:
        numbers = expected[int(looks == "every"), pairs, seed]
        assert [*map(float, printed)] == pytest.approx(
            [numbers[p] for p in ("bare", "name", "mean")], abs=6e-4
        )


@pytest.mark.deep
def test_the_figure_has_the_lines_of_theory_and_a_point_for_every_run(theory):
    figure = trained()
    for ax, detail in zip(figure.axes, PANELS, strict=True):
        flat = [
            line.get_ydata()[0]
            for line in ax.lines
            if len(set(line.get_ydata())) == 1 and line.get_alpha()
        ]
        assert flat == pytest.approx([theory[detail, prompt] for prompt, *_ in LINES], abs=1e-9)
        points = [line.get_data() for line in ax.lines if line.get_marker() == "o"]
        own = last_checkpoints()[detail]
        assert sorted(y[0] for _, y in points) == sorted(own)
        assert {x[0] for x, _ in points} == {last / 1000 for last, *_ in own.index}
    assert (ROOT / ".readme" / "open_clip.svg").read_text(encoding="utf-8").startswith("<svg")
