"""The README is executed: its commands run, and every number and verdict in it is compared with what they print."""

import html
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.court.docket import docket
from experiments.court.judge import judge
from experiments.page.story import answer
from theory.claims.claim import Claim

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def soberclip(arguments: list[str], folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "experiments", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment())
    assert run.returncode == 0, run.stderr
    return run


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The main job as the README starts it, default folder and all."""
    folder = tmp_path_factory.mktemp("reproduce")
    first = blocks("bash")[0].strip()
    assert first == "python -m pip install -e . && soberclip reproduce"
    run = soberclip(["reproduce", "--json"], folder)
    verdicts = json.loads(run.stdout)
    written = folder / "soberclip-report"
    assert json.loads((written / "verdicts.json").read_text()) == verdicts
    return written, verdicts


def test_set_up_is_two_commands_and_ci_runs_the_second():
    second = blocks("bash")[1].strip()
    assert second == 'python -m pip install -e ".[test]" && python -m pytest'
    assert second in (ROOT / ".ci" / "run").read_text()


def test_claims_table_is_what_reproduce_finds(report):
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \| (supported|contradicted|undecided) \|$", README, flags=re.MULTILINE)
    assert [(v["claim"], v["statement"], v["verdict"]) for v in report[1]] == rows
    assert [trial.id for trial in docket()] == [row[0] for row in rows]


def test_answer_is_the_report_s(report):
    shares = json.loads((report[0] / "maps.json").read_text())["shares"]
    for sentence in answer(shares):
        assert sentence in README
        page = html.unescape(re.sub("</?code>", "`", (report[0] / "report.html").read_text()))
        assert sentence in page


def test_pictures_exist():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) >= 2
    for picture in pictures:
        assert (ROOT / picture).stat().st_size > 1000


@pytest.mark.parametrize("block", blocks("console"), ids=lambda b: b.splitlines()[0][2:])
def test_console_blocks_print_what_they_say(block, tmp_path):
    command, _, expected = block.partition("\n")
    assert command.startswith("$ soberclip ")
    out = soberclip(shlex.split(command)[2:], tmp_path).stdout
    assert [line.rstrip() for line in out.splitlines()] == [line.rstrip() for line in expected.splitlines()]


def test_a_claim_of_ones_own_in_ten_lines():
    (code,) = blocks("python")
    names: dict = {}
    exec(code, names)
    claim = names["mine"]
    assert isinstance(claim, Claim)
    assert len(code.strip().splitlines()) <= 14
    assert judge(claim, quick=True).verdict == "supported"


def test_a_claims_file_is_tried(tmp_path):
    (tmp_path / "mine.py").write_text(blocks("python")[0])
    run = soberclip(["check", "--claims", "mine.py", "--quick", "--json"], tmp_path)
    (verdict,) = json.loads(run.stdout)
    assert (verdict["claim"], verdict["verdict"]) == ("loud-backgrounds-fool-clip", "supported")


def test_every_flag_and_verb_it_names_exists():
    verbs = ["", "predict", "simulate", "train", "check", "reproduce"]
    verbs += [f"counteranimal {verb}" for verb in ("inspect", "evaluate", "score", "published", "compare", "discover")]
    helps = "".join(soberclip([*verb.split(), "--help"], ROOT).stdout for verb in verbs)
    for flag in set(re.findall(r"`(--[a-z-]+)", README)):
        assert flag in helps or flag == "--help", flag
