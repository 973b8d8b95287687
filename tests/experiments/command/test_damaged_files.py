"""Damaged and hostile files: one sentence and status 1 or 2, never a traceback."""

import pytest

from tests.experiments.counteranimal.test_photos import PNG, write

NESTED = "[" * 100_000
SAMPLE = {
    "t.tar": {"ostrich.png": PNG, "ostrich.json": NESTED.encode()},
    "d.json": NESTED,
    "w.toml": f"p_spu = {NESTED}",
}


def refused(run):
    """The error of a request that ended with one sentence."""
    assert run.status in (1, 2)
    assert run.err.startswith("soberclip: ")
    assert run.err.count("\n") == 1
    return run.err


@pytest.mark.parametrize(
    "words",
    ["counteranimal inspect t.tar", "counteranimal compare d.json", "predict --world w.toml", "sweep w.toml"],
)
def test_documents_that_are_nested_too_deeply(soberclip, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, SAMPLE)
    assert words.split()[-1] in refused(soberclip(*words.split()))
