"""Many claims: a bad claim among good ones, and the family-wise error rate of contradictions."""

import json
import re
from multiprocessing import active_children
from pathlib import Path
from threading import RLock
from time import monotonic, sleep

import pytest

from experiments.command.trials import check
from experiments.court import parallel
from experiments.court.parallel import run_parallel, trials
from experiments.court.registry import ALL_CLAIMS, QUESTIONS, by_question, matching, select
from experiments.errors import RequestError
from experiments.published.claims import CLAIMS as PUBLISHED
from experiments.verdict import REFUSED, Verdict, family_sentence
from theory.docket.catalogue import TRAINED, untried

MINE = """
from theory import Axis, Claim

fields = {"source": "test", "statement": "", "quantity": "counter", "relation": ">="}
domain = {"p_spu": 0.9, "sigma_xi": 0.0}
mine = [
    Claim(id=f"mine-{i}", domain=domain, prediction=p, **fields)
    for i, p in enumerate([PREDICTIONS])
]
"""


def check_mine(folder: Path, *predictions: str) -> None:
    (folder / "mine.py").write_text(MINE.replace("PREDICTIONS", ", ".join(predictions)))
    check(claims=folder / "mine.py", quick=True, error_rate=0.2, output=folder / "kept", json=True)


def test_one_bad_claim_leaves_the_others_their_verdicts(tmp_path, capsys):
    with pytest.raises(RequestError, match=r"^not judged: mine-1; each verdict has the reason$"):
        check_mine(tmp_path, "lambda w: 0.0", "lambda w: w.mu_spuu", "lambda w: 1.0")
    verdicts = json.loads(capsys.readouterr().out)
    assert [v["verdict"] for v in verdicts] == ["supported", REFUSED, "contradicted"]
    assert verdicts[0]["alpha"] == 0.2
    assert (
        verdicts[1]["reason"]
        == "claim 'mine-1' cannot be judged: there is no 'mu_spuu'; the nearest is 'mu_spu'"
    )
    assert json.loads((tmp_path / "kept" / "verdicts.json").read_text()) == verdicts
    with pytest.raises(
        RequestError, match=r"^claim 'mine-0' cannot be judged: there is no 'mu_spuu'"
    ):
        check_mine(tmp_path, "lambda w: w.mu_spuu")
    assert not capsys.readouterr().out


def test_an_untried_claim_gets_a_reason_and_an_alternative():
    ids = {claim.id for claim in ALL_CLAIMS}
    assert not ids & {u.id for u in untried()}
    families = {id.split("/")[0] for id in ids}
    for one in untried():
        for named in re.findall(r"\(([a-z/-]+)\)", one.reason):
            assert named in ids | families, named
        with pytest.raises(RequestError, match=f"^claim '{one.id}' is not on trial: "):
            select((one.id,), ALL_CLAIMS)


def test_every_claim_has_a_question_and_every_question_a_claim():
    ids = [claim.id for claim in ALL_CLAIMS]
    grouped = by_question((id, id) for id in ids)
    assert sorted(id for _, claims in grouped for id in claims) == sorted(ids)
    assert [question for question, _ in grouped] == list(QUESTIONS)
    assert "data-determine/contrastive-loss" in dict(grouped)["supervised"]


def test_claims_are_selected_by_id_family_sentence_and_listed_by_pattern():
    ids = [claim.id for claim in ALL_CLAIMS]
    sentence = "wang-no-additional-robustness"
    readings = [claim for claim in ALL_CLAIMS if claim.sentence == sentence]
    assert select([sentence], ALL_CLAIMS) == readings
    assert len({claim.id.partition("/")[0] for claim in readings}) > 5
    assert matching(["xue*/mean", "wang-lemma"], ids) == [
        "wang-lemma-d3",
        *(id for id in ids if re.match("xue.*/mean$", id)),
    ]
    assert matching([], ids) == ids
    with pytest.raises(
        RequestError, match="no claim's id has 'wang-lema-d3' in it; the nearest is 'wang-lemma-d3'"
    ):
        matching(["wang-lema-d3"], ids)


def test_every_claim_says_whose_it_is():
    """A reading says what is ours, an own claim does not look like a paper's, and words in quotes
    have a place.
    """
    every = ALL_CLAIMS
    for claim in every:
        ours = claim.source.startswith("soberclip")
        assert ours == (claim.origin == "own"), claim.id
        if claim.origin != "own":
            assert re.search("arXiv|OpenReview|PMLR", claim.quote), claim.id
            assert ("“" in claim.quote) != ("Paraphrase" in claim.quote), claim.id
        if claim.origin == "reading":
            assert re.search(r"\bours?\b", claim.source), claim.id
    assert len({(claim.sentence, claim.quote) for claim in every}) == len(
        {claim.sentence for claim in every}
    )
    ids = [claim.id for claim in every]
    assert not [(one, other) for one in ids for other in ids if other.startswith(f"{one}/")]


def verdict(claim: str, word: str, p: float | None, **fields) -> Verdict:
    words = {"source": "", "statement": "", "seconds": 0.0, "alpha": 0.01}
    return Verdict(**{**words, "claim": claim, "verdict": word, "p_value": p, **fields})


def test_contradictions_are_corrected_by_holm():
    others = [
        verdict("true", "supported", None),
        verdict("trained", "contradicted", None, kind="trained"),
    ]
    # two of three tested claims are left where `near` is corrected
    for p, standing in ((0.004, 2), (0.006, 1)):
        found = family_sentence(
            [verdict("far", "contradicted", 1e-9), verdict("near", "contradicted", p), *others]
        )
        assert found.startswith(
            f"{standing} of 2 contradictions stand at a family-wise error rate of 0.01"
        )
        assert found.endswith("(Holm's correction over 3 tested claims)")
    assert family_sentence(others) is None


def test_several_processes_give_the_verdicts_of_one(tmp_path, capsys):
    published = list(PUBLISHED.values())[:3]
    alone = [
        one.as_json() for one in trials(published, own=True, seed=0, quick=False, error_rate=None)
    ]
    check(*(claim.id for claim in published), output=tmp_path, json=True)
    several = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "verdicts.json").read_text()) == several
    assert [{**one, "seconds": 0} for one in several] == [{**one, "seconds": 0} for one in alone]


def test_claims_about_the_same_towers_are_one_job():
    ids = [claim.id for claim in TRAINED]
    # no verdict shows that towers were trained twice
    jobs = parallel._longest_first(["published/first", *ids])
    assert sorted(id for job in jobs for id in job) == sorted([*ids, "published/first"])
    assert len(jobs) == 1 + len({claim.towers for claim in TRAINED}) < len(ids)
    assert jobs[0] == ["published/first"]  # its running time is unknown
    assert parallel._longest_first(["one", "family/a", "two", "family/b"])[0] == [
        "family/a",
        "family/b",
    ]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="processes are looked up in /proc")
def test_closing_the_iterator_ends_the_processes():
    ids = [claim.id for claim in PUBLISHED.values()]
    verdicts = run_parallel(ids, seed=0, quick=True, error_rate=None)
    assert next(verdicts).claim in ids
    started = [process.pid for process in active_children()]
    assert started
    verdicts.close()
    until = monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in started) and monotonic() < until:
        sleep(0.05)
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def test_tqdm_creates_no_semaphore_in_a_worker(monkeypatch):
    """If the worker is killed, Python would report a leaked semaphore."""
    bar = pytest.importorskip("tqdm").tqdm
    monkeypatch.setattr(bar, "_lock", None, raising=False)  # restored after the test
    parallel._leave_no_semaphore()
    assert isinstance(bar.get_lock(), type(RLock()))
