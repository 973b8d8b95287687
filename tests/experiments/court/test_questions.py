"""Every claim of the docket answers one question, and every line of the table is of use."""

import pytest

from experiments.court.docket import docket
from experiments.court.questions import QUESTIONS, by_question, question_of

IDS = [trial.id for trial in docket()]


def test_every_claim_answers_a_question():
    grouped = by_question((claim, claim) for claim in IDS)
    assert sorted(claim for _, claims in grouped for claim in claims) == sorted(IDS)
    assert [question for question, _ in grouped] == list(QUESTIONS), "a question without a claim"


def test_every_name_in_the_table_is_a_claim_s_or_a_family_s_and_stands_once():
    names = [name for question in QUESTIONS for name in question.claims]
    assert len(set(names)) == len(names)
    assert set(names) <= {*IDS, *(claim.partition("/")[0] for claim in IDS)}


def test_an_id_goes_before_its_family():
    assert question_of("data-determine/contrastive-loss").key == "supervised"
    assert question_of("data-determine/language-at-test-time").key == "prompts"


def test_a_claim_without_a_question_is_an_error():
    with pytest.raises(KeyError, match="'unheard-of/one' stands under no question"):
        question_of("unheard-of/one")
