"""The README is executed: its commands run, and every number and verdict in it is compared with what they print."""

import html
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from experiments.command.main import main
from experiments.court.docket import docket
from experiments.court.proving import file_name
from experiments.page.evidence import rigorous
from experiments.page.story import at_length

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


@pytest.mark.long
def test_claims_table_is_what_reproduce_finds(report):
    rows = re.findall(
        r"^\| `([^`]+)` \| (.+?) \| (proved|supported|contradicted|undecided) \|$", README, flags=re.MULTILINE
    )
    assert [(v["claim"], v["statement"], v["verdict"]) for v in report[1]] == rows
    assert [trial.id for trial in docket()] == [row[0] for row in rows]
    verdict = Counter(row[2] for row in rows)
    certain = sum(map(rigorous, report[1]))
    said = (
        f"Of {len(rows)} claims {verdict['proved']} are proved, {verdict['supported']} supported, "
        f"{verdict['contradicted']} contradicted ({certain} of them rigorously: at one point the formula certainly "
        f"fails by more than τ) and {verdict['undecided']} undecided."
    )
    assert said in README
    exactly = sum(v["verdict"] == "proved" and v["proof"]["exact"] for v in report[1])
    assert f"by exact algebra ({exactly} claims)" in README
    assert f"bounds on boxes that fill the domain ({verdict['proved'] - exactly})" in README


@pytest.mark.long
def test_the_report_s_certificates_are_those_of_its_verdicts_and_pass_the_checker(report, tmp_path):
    folder, verdicts = report
    proofs = [(v["claim"], v["proof"]) for v in verdicts if v.get("proof")]
    due = {file_name(claim): proof for claim, proof in proofs if proof["outcome"] in ("proved", "refuted")}
    assert {path.name for path in (folder / "proofs").iterdir()} == set(due)
    quick = [name for name, proof in due.items() if proof["boxes"] < 1000]  # the others take the checker seconds
    assert len(quick) > 40
    for name in quick:
        shutil.copy(folder / "proofs" / name, tmp_path)
    run = soberclip(["check", "--verify", str(tmp_path), "--json"], folder)
    assert {found["file"]: found["shows"] for found in json.loads(run.stdout)} == {n: due[n]["outcome"] for n in quick}


@pytest.mark.long
def test_answer_is_the_report_s(report):
    shares = json.loads((report[0] / "maps.json").read_text())["shares"]
    for sentence in at_length(shares):
        assert sentence in README
        page = html.unescape(re.sub("</?code>", "`", (report[0] / "report.html").read_text()))
        assert sentence in page


@pytest.mark.long
def test_the_report_is_below_three_megabytes(report):
    assert (report[0] / "report.html").stat().st_size < 3_000_000


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


def python_blocks() -> dict[str, str]:
    """The Python examples, in their order."""
    names = ("notebook", "study", "mitigation", "claim", "judge", "proved", "learner")
    return dict(zip(names, blocks("python"), strict=True))


def run_python(code: str, folder: Path) -> list[str]:
    """What a fresh interpreter prints, as a stranger would run it."""
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env=environment())
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_the_notebook_script_puts_theory_beside_what_it_trained(tmp_path):
    code = python_blocks()["notebook"]
    assert len(code.strip().splitlines()) <= 15
    imports = [line for line in code.splitlines() if line.startswith(("from", "import"))]
    assert len(imports) == len({line.split()[1] for line in imports})  # one line a package
    _, *rows = run_python(code, tmp_path)
    assert [row.split()[:2] for row in rows] == [[n, p] for n in ("linear", "infonce") for p in ("name", "mean")]
    for row in rows:
        common, counter, common_then, counter_then = map(float, row.split()[2:])
        # One fit of 1000 pairs, and eight models of a short training: to the second digit, by the recipe's deep test.
        assert (common, counter) == pytest.approx((common_then, counter_then), abs=0.06), row


def run_block(block: str, folder: Path) -> None:
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "soberclip"
        soberclip(arguments, folder)


LONG = "sweep mitigations"  # a minute


def test_studies_run_and_are_drawn(tmp_path):
    for block in blocks("toml"):  # each begins with its file's name
        (tmp_path / block.partition("\n")[0].removeprefix("# ")).write_text(block, encoding="utf-8")
    for block in blocks("sh"):
        if LONG not in block:
            run_block(block, tmp_path)
    code = python_blocks()["study"]
    assert run_python(code, tmp_path) == re.findall(r"  # (.*)$", code, flags=re.MULTILINE)
    drawn = ("phase.svg", "gap.png", "sources.svg", "gap.pdf", "digits.png")
    assert all((tmp_path / name).stat().st_size > 5000 for name in drawn)


def test_the_sweep_of_mitigations_is_planned(tmp_path):
    """It takes a minute; its design has a deep test of its own."""
    (block,) = [block for block in blocks("sh") if LONG in block]
    predict, sweep, plot = block.splitlines()
    assert "counter" in soberclip(shlex.split(predict)[1:], tmp_path).stdout
    assert "cells" in soberclip([*shlex.split(sweep)[1:], "--dry-run"], tmp_path).stderr
    assert plot == "soberclip plot mitigations.zarr --what groups"


def test_a_mitigation_of_ones_own_has_its_law(tmp_path):
    code = python_blocks()["mitigation"]
    assert run_python(code, tmp_path) == re.findall(r"  # (.*)$", code, flags=re.MULTILINE)


def test_a_claim_of_ones_own_is_judged_as_printed(tmp_path):
    code = python_blocks()
    assert len(code["claim"].strip().splitlines()) <= 14
    assert run_python(code["claim"] + code["judge"], tmp_path) == ["supported"]


def test_a_claim_of_ones_own_is_proved_as_printed(tmp_path):
    assert run_python(python_blocks()["proved"], tmp_path) == ["proved"]


def test_a_learner_of_ones_own_is_judged_as_printed(tmp_path):
    """Written to a file: a dataclass looks for its module."""
    (tmp_path / "ridge.py").write_text(python_blocks()["learner"], encoding="utf-8")
    assert run_python("import ridge", tmp_path) == ["supported"]


def test_a_claims_file_is_tried(tmp_path):
    (tmp_path / "mine.py").write_text(python_blocks()["claim"])
    run = soberclip(["check", "--claims", "mine.py", "--quick", "--json"], tmp_path)
    (verdict,) = json.loads(run.stdout)
    assert (verdict["claim"], verdict["verdict"]) == ("loud-backgrounds-fool-clip", "supported")


def test_every_flag_and_verb_it_names_exists(capsys):
    verbs = ["", "predict", "simulate", "train", "show", "sweep", "plot", "designs", "check", "reproduce"]
    verbs += [
        f"counteranimal {verb}"
        for verb in ["inspect", "evaluate", "score", "published", "compare", "discover", "compose", "audit-activation"]
    ]
    assert [main([*verb.split(), "--help"]) for verb in verbs] == [0] * len(verbs)
    helps = capsys.readouterr().out
    for flag in set(re.findall(r"`(--[a-z-]+)", README)):
        assert flag in helps or flag == "--help", flag
