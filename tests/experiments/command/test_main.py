"""The command line: documents, exit statuses and interruptions. test_refusals.py has the wrong
requests.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from experiments.command.main import app
from experiments.command.options import whole
from simulator.world import World

ROOT = Path(__file__).parents[3]


def test_predict_known_answers(soberclip, tmp_path):
    run = soberclip(
        "predict",
        "--mu-spu",
        "2",
        "--p-spu",
        "0.99",
        "--sigma-xi",
        "0",
        "--output",
        tmp_path,
        "--json",
    )
    assert (run.status, run.err) == (0, "")
    d = run.document
    assert d["counter"] == pytest.approx(1 - 0.806, abs=5e-4)
    assert d["common"] == pytest.approx(0.996, abs=5e-4)
    assert World(**d["world"]) == World(mu_spu=2.0, p_spu=0.99, sigma_xi=0.0)
    assert json.loads((tmp_path / "result.json").read_text()) == d
    assert soberclip("predict", "--world", tmp_path / "world.toml", "--json").document == d


def test_simulate_document(soberclip):
    run = soberclip("simulate", "--n", "1e3", "--replicates", "50", "--seed", "5", "--json")
    d = run.document
    assert (d["n"], d["method"], d["seed"], len(d["replicates"])) == (1000, "exact", 5, 50)
    for group in ("common", "counter"):
        values = [replicate[group] for replicate in d["replicates"]]
        assert np.mean(values) == pytest.approx(d[group])
        ends = stats.t.interval(0.95, 49, np.mean(values), stats.sem(values))
        assert d["interval95"][group] == pytest.approx(ends)
    again = soberclip(
        "simulate", "--n", "1000", "--replicates", "50", "--seed", "5", "--json"
    ).document
    assert again == d
    alone = soberclip("simulate", "--replicates", "1", "--json").document
    assert alone["interval95"] == {"common": None, "counter": None}


def refused(run, value: str) -> None:
    """Whether the run was refused in one line that names the value."""
    assert (run.status, run.out) == (2, "")
    assert run.err.startswith("soberclip: ")
    assert run.err.count("\n") == 1
    assert value in run.err


@pytest.mark.parametrize(
    ("output", "words"), [([], "nothing was kept"), (["--output", "kept"], "in kept/verdicts.json")]
)
def test_an_interrupted_check_says_what_it_kept(soberclip, tmp_path, monkeypatch, output, words):
    import experiments.court.trial as judging

    monkeypatch.chdir(tmp_path)
    real = judging.judge
    calls = []

    def some(claim, **options):
        if calls:
            raise KeyboardInterrupt
        calls.append(claim.id)
        return real(claim, **options)

    monkeypatch.setattr(judging, "judge", some)
    run = soberclip("check", "xue-data-model-1", "--quick", "--error-rate", "0.2", *output)
    assert (run.status, run.out, run.err.count("\n")) == (130, "", 1)
    assert words in run.err
    if output:
        (verdict,) = json.loads((tmp_path / "kept" / "verdicts.json").read_text())
        assert (verdict["claim"], verdict["alpha"]) == ("xue-data-model-1/common", 0.2)


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("simulate", "nothing"),
        ("counteranimal discover --data a", "cache"),
        ("counteranimal evaluate --data a --model b", "cache"),
        ("counteranimal compose --size 64", "nothing"),
        ("export --output a", "resume"),
    ],
)
def test_ctrl_c_in_other_verbs_says_what_was_kept(soberclip, monkeypatch, words, kept):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(app), "__call__", interrupted)
    run = soberclip(*words.split())
    assert (run.status, run.out, run.err.count("\n")) == (130, "", 1)
    assert kept in run.err


def test_no_verb_overwrites_another_verb_s_result(soberclip, tmp_path):
    assert soberclip("simulate", "--replicates", "2", "--output", tmp_path / "a").status == 0
    kept = (tmp_path / "a" / "result.json").read_text()
    for verb in ("predict", "train"):
        refused(soberclip(verb, "--output", tmp_path / "a"), "result.json")
    assert (tmp_path / "a" / "result.json").read_text() == kept
    assert soberclip("simulate", "--replicates", "2", "--output", tmp_path / "a").status == 0
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run.json").write_text('{"specification": {}}')  # of train
    refused(soberclip("simulate", "--output", tmp_path / "b"), "simulate")


@pytest.mark.parametrize(
    ("words", "compiled"),
    [
        ("--steps 499", False),
        ("--steps 500", True),
        ("--steps 6 --compile", True),
        ("--no-compile", False),
        ("", True),
    ],
)
def test_short_trainings_are_not_compiled(soberclip, monkeypatch, words, compiled):
    asked = []  # what is compiled gives the same numbers, half a minute later
    monkeypatch.setattr(
        "experiments.lab.training.train", lambda *_, compile, **__: asked.append(compile)
    )
    assert soberclip("train", *words.split()).status == 0
    assert asked == [compiled]


def test_bash_completes_verbs_flags_and_names(tmp_path):
    (tmp_path / "soberclip").write_text(app.generate_completion(shell="bash"))
    ask = (
        'source "$0"; COMP_WORDS=(soberclip $1 "$2"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1));'
        " _soberclip; "
    )
    for given, start, full in (
        ("counteranimal", "ev", "evaluate"),
        ("predict", "--p-s", "--p-spu"),
        ("predict --prompt", "mea", "mean"),
        ("simulate --mitigate", "balan", "balance"),
        ("sweep", "multic", "multicolored-mnist"),
        ("check", "wang-lemma-d", "wang-lemma-d3"),
    ):
        command = [
            "bash",
            "-c",
            ask + 'echo "${COMPREPLY[@]}"',
            tmp_path / "soberclip",
            given,
            start,
        ]
        run = subprocess.run(command, capture_output=True, text=True)
        assert (run.stdout.split(), run.stderr) == ([full], "")


WHOLE = {"1000": 1000, "1e3": 1000, "1e12": 10**12, "2.0": 2, "-3": -3}


def test_common_notations_of_whole_numbers_are_read():
    assert {text: whole(None, [SimpleNamespace(value=text)]) for text in WHOLE} == WHOLE


@pytest.mark.parametrize(
    "text",
    ["2.5", "1e-3", "x", "", "nan", "inf", "1e-99999999", "1e5000", "-1e99999999", "9" * 5000],
)
def test_text_that_is_not_a_whole_number_is_refused(text):
    """1e5000 has more digits than Python prints, and printing 1e99999999 takes minutes."""
    with pytest.raises(ValueError, match=re.escape(text[:6] or repr(text))) as refusal:
        whole(None, [SimpleNamespace(value=text)])
    assert len(str(refusal.value)) < 120


ASCII = {
    **os.environ,
    "PYTHONIOENCODING": "ascii",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "COLUMNS": "80",
}


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("--version > /dev/full", 1, "soberclip: No space left on device"),
        ("--help <&- >&-", 0, ""),
        ("predict --p-spu 2 2>&-", 2, ""),
        ("--help | true", 1, ""),
        ("claims --json | true", 1, ""),
        ("predict | iconv -f ascii | grep -q 'view noise ? = 0.01562'", 0, ""),
    ],
)
def test_full_or_closed_streams_give_no_traceback(line, status, said):
    """At most one sentence, the right status, and no traceback. ASCII terminals get every
    number.
    """
    shell = f"{shlex.quote(sys.executable)} -m experiments {line}; exit ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", shell], cwd=ROOT, text=True, env=ASCII, capture_output=True)
    assert (run.returncode, run.stdout, run.stderr.splitlines()) == (
        status,
        "",
        [said] if said else [],
    )


OWN = """
import numpy as np
from helper import HALF
from theory import Axis, Claim, Phi
print("hello from the file")

def claim(name, prediction):
    loud = {"p_spu": Axis(0.9, 1), "mu_spu": Axis(2, 3), "sigma_inv": Axis(0.5, 1), "sigma_xi": 0.0}
    given = dict(source="me", statement="Loudness costs.", quantity="counter", relation="<=")
    return Claim(id=name, prediction=prediction, domain=loud, **given)

def odd(world):
    print("hello from the prediction")
    return np.where(world.mu_spu > 0, 0.4, HALF)

good = claim("good", lambda w: Phi(1.5 - w.mu_spu))
mine = [good, claim("bad", lambda w: Phi(1.3 - w.mu_spu)), claim("odd", odd)]
"""


def test_own_claims_are_proved_and_their_certificates_verified(soberclip, tmp_path):
    """Their file may print, and import its neighbours."""
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "helper.py").write_text("HALF = 0.5\n")
    before = list(sys.path)
    own = ("--claims", tmp_path / "mine.py")
    folder = tmp_path / "proofs"
    run = soberclip("check", *own, "--quick", "--prove", "--output", folder, "--json")
    assert run.status == 0, run.err
    assert run.err.count("hello from the") >= 2
    assert sys.path == before
    found = {v["claim"]: (v["verdict"], v["proof"]["outcome"]) for v in run.document}
    expected = {
        "good": ("proved", "proved"),
        "bad": ("contradicted", "refuted"),
        "odd": ("supported", "not provable"),
    }
    assert found == expected
    shown = soberclip("check", "--verify", folder, *own, "--json")
    assert shown.status == 0, shown.err
    assert {(r["claim"], r["shows"]) for r in shown.document} == {
        ("good", "proved"),
        ("bad", "refuted"),
    }
    strange = soberclip("check", "--verify", folder)
    assert (strange.status, "--claims" in strange.out) == (1, True)
