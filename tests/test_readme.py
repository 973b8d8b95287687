"""The READMEs are executed: their commands run, and their numbers are compared with the output.

The first page is README.md. READMEs inside the packages hold details.
"""

import html
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from operator import itemgetter
from pathlib import Path

import pytest
from laws.test_options import VERB

from experiments.command.main import main
from experiments.court.certificates import file_name
from experiments.court.registry import ALL_CLAIMS
from experiments.lab import mitigations
from experiments.page import text
from experiments.page.counts import entries
from experiments.verdict import Verdict, words_of
from simulator.prompts import CHOICES, asked
from simulator.towers import objectives
from theory.claims import quantities

ROOT = Path(__file__).parent.parent
HOMES = (
    "",
    "experiments",
    "experiments/lab",
    "theory/claims",
    "experiments/counteranimal",
    "experiments/benchmarks",
)
EXTEND = (ROOT / "experiments" / "extend.md").read_text(encoding="utf-8")
PAGES = README, WORK, LAB, CLAIMS, PHOTOS, SPEED = [
    (ROOT / home / "README.md").read_text(encoding="utf-8") for home in HOMES
]
RECORD = dict(
    line.rsplit(",", 1) for line in (ROOT / "tests" / "verdicts.csv").read_text().splitlines()[1:]
)


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """`import soberclip` works where the project is installed; here it works from the source.

    What an example registers is forgotten after it.
    """
    monkeypatch.syspath_prepend(ROOT / "experiments" / "command" / "entry")
    tables = (mitigations.MITIGATIONS, objectives.OBJECTIVES, quantities.QUANTITIES)
    before = [dict(table) for table in tables]
    yield
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


def line(start: str, page: str) -> str:
    return re.search(rf"^{start}.*$", page, flags=re.MULTILINE)[0]


HERE = line("Here p = ", LAB)
LIMIT = line("The published theorem", CLAIMS)
COMMAND, NO_LOOK = re.search(
    r"`(soberclip [^`]*)`.*`(--detail-inv [^`]*)`", line("`soberclip predict", README)
).groups()
WORLD = text.WORLD


PLACE = r"([\d.]+(?: \([\d.]+\))?)"
# Learner, prompt, p' where captions tell every look and none, and flags: the table of the answer,
# as printed.
ROWS = re.findall(rf"^\| (.*) \| (.*) \| {PLACE} \| {PLACE} \| `(.*)` \|$", README, re.MULTILINE)


def numbers(words: str) -> list[float]:
    return [float(found) for found in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", words)]


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


def soberclip(arguments: list[str], folder: Path) -> tuple[str, str]:
    """(stdout, stderr) of the command line, in this process, because a fresh interpreter takes
    seconds.
    """
    stdout = StringIO()
    stderr = StringIO()
    with (
        chdir(folder),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("COLUMNS", "80")
        assert main(arguments) == 0, stderr.getvalue()
    return stdout.getvalue(), stderr.getvalue()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Folder and verdicts of `report`, run as in the README, with its default folder."""
    folder = tmp_path_factory.mktemp("reproduce")
    command = [sys.executable, "-m", "experiments", "reproduce", "--json"]
    environment = {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert run.returncode == 0, run.stderr
    verdicts = json.loads(run.stdout)
    written = folder / "soberclip-report"
    assert json.loads((written / "verdicts.json").read_text()) == verdicts
    return written, verdicts


def test_set_up_is_two_commands_and_ci_runs_the_second():
    (both,) = blocks("bash")
    first, second = both.splitlines()
    assert first == "python -m pip install -e . && soberclip reproduce"
    assert second == 'python -m pip install -e ".[test]" && python -m pytest'
    assert second in (ROOT / ".ci" / "run").read_text()


@pytest.mark.deep  # `report` takes a minute and a half on two cores
def test_verdicts_equal_the_record(report):
    """tests/verdicts.csv is the record. If a verdict changes, find out whether it is a discovery or
    a fault.
    """
    recorded = [*RECORD.items()]
    assert [(v["claim"], v["verdict"]) for v in report[1]] == recorded
    assert [claim.id for claim in ALL_CLAIMS] == [claim for claim, _ in recorded]
    verdict = Counter(found for _, found in recorded)
    certain = sum(
        v["verdict"] == "contradicted" and v["proof"]["outcome"] == "refuted"
        for v in report[1]
        if v.get("proof")
    )
    exactly = sum(v["verdict"] == "proved" and v["proof"]["exact"] for v in report[1])
    boxes = verdict["proved"] - exactly
    counts = [verdict[word] for word in ("proved", "supported", "contradicted", "undecided")]
    claims = (
        r"Of (\d+) claims (\d+) are proved, (\d+) supported, (\d+) contradicted \((\d+) of them .*"
        r" (\d+) undecided"
    )
    for page, pattern, numbers in (
        (CLAIMS, claims, [len(recorded), *counts[:3], certain, counts[3]]),
        (CLAIMS, r"exact algebra \((\d+) claims\)", [exactly]),
        (CLAIMS, r"bounds on boxes that fill the domain \((\d+)\)", [boxes]),
    ):
        assert [*map(int, re.search(pattern, page).groups())] == numbers, pattern


@pytest.mark.deep
def test_the_report_has_the_certificates_of_its_verdicts_and_they_pass_the_checker(
    report, tmp_path
):
    folder, verdicts = report
    proofs = [(v["claim"], v["proof"]) for v in verdicts if v.get("proof")]
    due = {
        file_name(claim): proof
        for claim, proof in proofs
        if proof["outcome"] in ("proved", "refuted")
    }
    assert {path.name for path in (folder / "proofs").iterdir()} == set(due)
    # the checker needs seconds for the others
    quick = [name for name, proof in due.items() if proof["boxes"] < 1000]
    assert len(quick) > 40
    for name in quick:
        shutil.copy(folder / "proofs" / name, tmp_path)
    stdout, _ = soberclip(["check", "--verify", str(tmp_path), "--json"], folder)
    assert {found["file"]: found["shows"] for found in json.loads(stdout)} == {
        n: due[n]["outcome"] for n in quick
    }


@pytest.mark.deep
def test_the_report_has_the_numbers_of_the_pages(report):
    page = html.unescape((report[0] / "report.html").read_text())
    for words in (HERE, LIMIT):
        found = re.search(rf">({' '.join(words.split()[:3])}[^<]*)", page)[1]
        assert numbers(found) == numbers(words), words


def test_the_world_of_the_answer_is_described():
    fields = ("p_spu", "mu_inv", "mu_spu", "sigma_inv", "sigma_spu", "nu_image")
    widths = {at: world.dim_image for at, (world, _) in text.trained().items()}
    every = widths["name", 1.0]
    none = widths["name", 0.0]
    bare = widths["bare", 1.0]
    assert numbers(HERE) == [*(getattr(WORLD, name) for name in fields), every, none, bare]
    assert all(
        world.nu_image == pytest.approx(WORLD.nu_image) for world, _ in text.trained().values()
    )
    assert every == WORLD.dim_image


def test_the_limit_is_that_of_the_command(tmp_path):
    *_, certain = numbers(LIMIT)
    for learner in ("logistic", "linear"):
        words = [*shlex.split(COMMAND)[1:], learner, "--p-spu", str(certain), "--json"]
        found = json.loads(soberclip(words, tmp_path)[0])
        assert f"{100 * found['common']:.2f}/{100 * found['counter']:.2f} %" in LIMIT


def test_the_first_page_is_short_and_says_the_correlation_of_its_table():
    text_alone = re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE)
    plain = re.sub(r"<[^>]*>|`[^`\n]*`|\]\([^)]*\)", "", text_alone)
    assert len(re.findall(r"[^\W_]+(?:[’'.,–-][^\W_]+)*", plain)) <= 1000
    assert f"here the data have p = {WORLD.p_spu}" in README


@pytest.mark.parametrize(("_", "prompt", "every", "none", "flags"), ROWS)
def test_commands_print_the_numbers_of_the_answer(_, prompt, every, none, flags, tmp_path):
    prompted = prompt and f", prompted with {prompt}"
    for looks, number in (("", every), (NO_LOOK, none)):
        printed, _ = soberclip(shlex.split(f"{COMMAND} {flags} {looks}")[1:], tmp_path)
        assert printed.startswith(f"{flags.split()[0]}{prompted}\n")
        place = re.search(rf"correlation p′ = ([\d.]+) \(yours has p = {WORLD.p_spu}\)", printed)[1]
        assert f"{float(place):.2f}" == number.split()[0]


def test_the_table_is_that_of_the_report():
    """By theory, and in brackets of the towers of stored trials."""
    assert [row[1:] for row in ROWS] == [
        *map(itemgetter("prompt", "every", "none", "flags"), text.answers())
    ]


def test_the_first_command_prints_its_output(tmp_path):
    (command, *_), (output,) = "".join(blocks("sh")).splitlines(), blocks("text")
    printed, _ = soberclip(shlex.split(command)[1:], tmp_path)
    assert [line.rstrip() for line in printed.splitlines()] == output.splitlines()


def test_pictures_and_pages_exist():
    assert all(
        (ROOT / picture).is_file() for picture in re.findall(r'<img [^>]*src="([^"]+)"', README)
    )
    for home, page in zip(HOMES, PAGES, strict=True):
        for target in re.findall(r"\]\(([^)#]+)\)", page):
            if "://" not in target:
                assert (ROOT / home / target).stat().st_size > 500, target


def test_the_first_page_has_the_verdicts_of_its_sentences():
    """Each row names a sentence by its own words; the verdict is that of all claims about the
    sentence.
    """
    tried = [claim for claim in ALL_CLAIMS if claim.id in RECORD]
    claims = [Verdict(**words_of(claim), verdict=RECORD[claim.id], seconds=0.0) for claim in tried]
    found = re.findall(r"^\| (.*) \| \[[WX]\].* \| (.*) \|$", README, flags=re.MULTILINE)
    assert len(found) > 4
    for words, verdict in found:
        (entry,) = (one for one in entries(claims) if words in one.quote)
        assert entry.outcome == verdict, words


def python_blocks() -> dict[str, str]:
    """The Python examples, in their order."""
    names = ("training", "study", "loss", "mitigation", "claim", "proved", "placed", "extend")
    found = [block for page in (README, LAB, CLAIMS, EXTEND) for block in blocks("python", page)]
    return dict(zip(names, found, strict=True))


def promised(code: str) -> list[str]:
    """Output that the comments behind print(...) promise."""
    return re.findall(r"^ *print\(.*\)(?:\.values\))?  # (.*)$", code, flags=re.MULTILINE)


def run_python(code: str, folder: Path) -> list[str]:
    """Output of an example. It runs as a file, because a dataclass needs its module."""
    (folder / "example.py").write_text(code, encoding="utf-8")
    stdout = StringIO()
    with chdir(folder), redirect_stdout(stdout):
        runpy.run_path("example.py", run_name="__main__")
    return stdout.getvalue().splitlines()


@pytest.mark.parametrize(
    ("steps", "off"),
    [(300, 0.05), pytest.param(3000, 0.012, marks=pytest.mark.deep)],
    ids=["short", "whole"],
)
def test_training_in_ten_lines_reaches_the_theory(steps, off, tmp_path):
    code = python_blocks()["training"]
    assert len(code.splitlines()) <= 11
    assert "steps=3000" in code
    rows = run_python(code.replace("steps=3000", f"steps={steps}"), tmp_path)
    numbers = {
        tuple(row.split()[:2]): [float(x) for x in re.findall(r"\d\.\d+", row)] for row in rows
    }
    for prompt in ("typical", "average"):
        assert numbers[prompt, "trained"] == pytest.approx(numbers[prompt, "theory"], abs=off), rows


def run_blocks(page: str, folder: Path) -> None:
    for line in "".join(blocks("sh", page)).splitlines():
        program, *arguments = shlex.split(line)
        assert program == "soberclip"
        arguments = [str(ROOT / word) if (ROOT / word).is_file() else word for word in arguments]
        if "mitigations.zarr" not in line:  # its sweep takes a minute
            soberclip(arguments, folder)


def test_commands_run_and_pictures_are_drawn(tmp_path):
    run_blocks(README, tmp_path)
    assert (tmp_path / "bears" / "embeddings.html").stat().st_size > 5000
    assert (
        "bare         0.9554   0.3623   0.9000" in (tmp_path / "world" / "README.txt").read_text()
    )


@pytest.mark.deep
def test_commands_of_the_laboratory_run_and_pictures_are_drawn(tmp_path):
    for block in blocks("toml", LAB):  # each begins with its file's name
        (tmp_path / block.partition("\n")[0].removeprefix("# ")).write_text(block, encoding="utf-8")
    run_blocks(LAB, tmp_path)
    code = python_blocks()["study"]
    assert run_python(code, tmp_path) == promised(code)
    drawn = ("phase.svg", "gap.png", "sources.svg", "gap.pdf", "digits.png")
    assert all((tmp_path / name).stat().st_size > 5000 for name in drawn)


@pytest.mark.parametrize("name", ["loss", "mitigation", "claim", "proved", "placed", "extend"])
def test_an_example_prints_its_output(name, tmp_path):
    code = python_blocks()[name]
    assert promised(code)
    assert run_python(code, tmp_path) == promised(code)


def test_the_laboratory_explains_the_names_that_help_lists():
    for name, row in mitigations.MITIGATIONS.items():
        assert (
            f"| `{name}` | {row.words} |" in LAB or name == "none" or name.startswith("prompt-")
        ), name
    for name in CHOICES:
        assert f"*{name}*: the {asked(name)}" in LAB, name


def test_the_file_that_extends_runs_on_the_command_line(tmp_path):
    (tmp_path / "mine.py").write_text(python_blocks()["extend"])
    said = [
        soberclip(shlex.split(line)[1:], tmp_path)[0]
        for line in "".join(blocks("sh", EXTEND)).splitlines()
    ]
    for words, one in zip(
        ("ridge", "supported    ridge-loses-less", "22 cells", "mine.svg: ridge minus"),
        said,
        strict=True,
    ):
        assert words in one
    assert all("extend.md" in page for page in PAGES)


def test_every_flag_and_verb_in_the_readmes_exists(capsys):
    verbs = [
        ["counteranimal", verb] if module == "counteranimal" else [verb]
        for verb, module in VERB.items()
    ]
    assert [main([*verb, "--help"]) for verb in [[], *verbs]] == [0] * (1 + len(verbs))
    helps = capsys.readouterr().out
    assert all(f"Example: soberclip {' '.join(verb)}" in helps for verb in verbs)
    assert main(["--help", "predict"]) == 0
    assert capsys.readouterr().out in helps
    assert "None" not in helps
    for flag in {
        flag
        for page in PAGES
        for flag in re.findall(r"`(?:soberclip [^`]* )?(--[a-z][a-z-]+)", page)
    }:
        assert flag in helps or flag == "--help", flag
