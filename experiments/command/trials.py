"""`soberclip claims`, `check` and `reproduce`: claims on trial."""

import sys
from collections import Counter
from contextlib import redirect_stdout
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from experiments.command.options import Json, Seed, flag, named, own_folder, target
from experiments.command.output import VERDICT_STYLES, emit, indented
from experiments.court.registry import (
    ALL_CLAIMS,
    QUESTIONS,
    by_question,
    claims_of_file,
    digest_of,
    matching,
    select,
)
from experiments.errors import Interrupted, RequestError, RunError
from experiments.files import LATEX_MARK, check_writable, output_folder, write_json, write_text
from experiments.verdict import REFUSED, WORDS, Verdict, words_of
from simulator.progress import say
from theory.docket.catalogue import CLAIMS, untried

VERDICTS = "verdicts.json"
IDS = [claim.id for claim in ALL_CLAIMS]
WHOSE = {"printed": "printed: ", "reading": "our reading of: ", "own": "own statement"}


def claims(
    *patterns: named(IDS, "parts of ids, or patterns such as '*mean*' [default: all claims]"),
    json: Json = False,
) -> None:
    every = ALL_CLAIMS
    others = untried()
    ids = set(matching(patterns, [one.id for one in (*every, *others)]))
    rows = []
    for claim in (claim for claim in every if claim.id in ids):
        digest = digest_of(claim)
        rows.append(
            {
                **words_of(claim),
                "untried": None,
                "digest": digest.sha256,
                "digest_of_source": digest.source,
            }
        )
    for one in (one for one in others if one.id in ids):
        words = {
            "claim": one.id,
            "source": one.source,
            "statement": one.statement,
            "untried": one.reason,
        }
        rows.append({**dict.fromkeys(WORDS), **words, "digest": None, "digest_of_source": None})
    emit(rows, json, claims_table)


def check(
    *ids: named(IDS, "claims, families of claims or sentences of papers [default: all]"),
    quick: flag(
        bool, "audit 4 points instead of 32; show stored verdicts on long trainings"
    ) = False,
    error_rate: flag(
        float | None, "twice the chance of a wrong contradiction [default: the claim's own, .01]"
    ) = None,
    claims: flag(Path | None, "Python file with claims of your own; it is executed") = None,
    prove: flag(bool, "also prove or refute the closed forms over their whole domains") = False,
    verify: flag(
        Path | None, "only check the certificates (*.proof) of this folder, without a trial"
    ) = None,
    seed: Seed = 0,
    output: own_folder(
        "check", [VERDICTS], "folder for certificates, and verdicts.json after each verdict"
    ) = None,
    latex: flag(Path | None, "file for a LaTeX table of the verdicts, for a paper") = None,
    json: Json = False,
) -> None:
    from experiments.court.certificates import file_name
    from experiments.court.parallel import trials

    if verify is not None:
        if (
            ids
            or quick
            or prove
            or error_rate is not None
            or any(path is not None for path in (output, latex))
        ):
            raise RequestError(
                "--verify only checks the proofs of a folder; leave out all but --claims"
            )
        return _verify(verify, claims, json)
    if error_rate is not None and not 0 < error_rate < 1:
        raise RequestError(f"--error-rate = {error_rate} lies outside (0, 1); .01 is usual")
    selected = select(ids, ALL_CLAIMS if claims is None else claims_of_file(claims))
    if latex is not None:
        check_writable(latex.parent, "check --latex", [latex.name], LATEX_MARK.encode())
        for claim in selected:
            digest_of(claim)  # a claim without one is refused before its trial
    if prove and output is not None:
        from theory.proofs.certificate import MARK  # start-up time

        check_writable(output, "check", [file_name(claim.id) for claim in selected], MARK)
    folder = output and output_folder(output)
    verdicts = []
    ranks = {claim.id: i for i, claim in enumerate(selected)}
    how = {"seed": seed, "quick": quick, "error_rate": error_rate, "own": claims is not None}
    how |= {"prove": prove, "certificates": output} if prove else {}
    try:
        with redirect_stdout(sys.stderr):  # a user's prediction may print
            for verdict in trials(selected, **how):
                verdicts = sorted([*verdicts, verdict], key=lambda one: ranks[one.claim])
                if folder is not None:
                    write_json(folder / VERDICTS, verdicts)
    except KeyboardInterrupt:
        end = (
            "nothing was kept"
            if output is None
            else f"the verdicts finished by then are in {output / VERDICTS}"
        )
        raise Interrupted(f"interrupted; {end}") from None
    refused = [verdict for verdict in verdicts if verdict.verdict == REFUSED]
    if len(refused) == len(verdicts):
        raise RequestError(refused[0].reason)
    if latex is not None:
        from experiments.page.latex import latex_table  # start-up time

        table = latex_table(verdicts, selected, seed, output if prove else None)
        write_text(output_folder(latex.parent) / latex.name, table)
        say(f"table: {latex}")
    emit(verdicts, json, verdict_table)
    if refused:
        raise RequestError(
            f"not judged: {', '.join(one.claim for one in refused)}; each verdict has the reason"
        )


def _verify(folder: Path, claims: Path | None, json: bool) -> None:
    """Check the certificates of a folder. RunError names those that fail."""
    from experiments.court.certificates import verify_folder

    document = verify_folder(folder, [*CLAIMS, *([] if claims is None else claims_of_file(claims))])
    emit(document, json, checked_table)
    refused = [result["file"] for result in document if result["refused"]]
    if refused:
        raise RunError(f"refused: {', '.join(refused)}; each certificate has the reason")


def reproduce(
    *,
    output: target(Path, "folder for the report, in place of an earlier one") = Path(
        "soberclip-report"
    ),
    full: flag(bool, "full trials as in check, with trainings: more than an hour") = False,
    verbose: flag(bool, "print every verdict") = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    from experiments.page.reproduce import reproduce as run

    verdicts = run(output, seed, full)
    emit(verdicts, json, verdict_table if verbose else question_table)
    say(f"report: {output / 'report.html'}")


def claims_table(document: list[dict[str, Any]]) -> Group:
    lines: list[RenderableType] = []
    for row in document:
        lines += [
            Text.assemble((row["claim"], "bold"), "  ", (row["source"], "dim")),
            indented(row["statement"]),
        ]
        if row["untried"]:
            lines.append(indented(f"not on trial: {row['untried']}"))
        else:
            of = " of the source" if row["digest_of_source"] else ""
            lines += [
                indented(f"{WHOSE[row['origin']]}{row['quote']}"),
                indented(f"digest{of} {row['digest'][:12]}"),
            ]
    return Group(*lines)


def verdict_table(verdicts: list[Verdict]) -> Group:
    """One block per statement and one per verdict on a reading of it, then the counts."""
    from experiments.page.counts import entries, summary

    lines: list[RenderableType] = []
    for entry in entries(verdicts):
        if entry.quote:
            lines.append(Text.assemble((f"{entry.outcome}{entry.part}: ", "bold"), entry.quote))
        for row in entry.verdicts:
            lines += _evidence(row)
    return Group(*lines, *summary(verdicts))


def question_table(verdicts: list[Verdict]) -> Group:
    """The counts of each question, then those of all."""
    from experiments.page.counts import counts, entries, summary

    lines: list[RenderableType] = []
    for question, group in by_question(
        (entry.verdicts[0].claim, entry.verdicts) for entry in entries(verdicts)
    ):
        lines += [
            Text(QUESTIONS[question], "bold"),
            indented(" ".join(counts([*chain.from_iterable(group)], False))),
        ]
    return Group(
        *lines, *summary(verdicts), "--verbose prints every verdict; the report has them, too."
    )


def _evidence(row: Verdict) -> list[RenderableType]:
    """A verdict in three lines; --json has the rest."""
    from experiments.page.evidence import claimed, headed, how, measured, number, place, tightest

    term, where = place(row)
    parts = [
        f"claimed {claimed(row)}",
        f"measured {measured(row)}",
        f"{term} {where}" if term else "",
    ]
    parts.append(f"{row.route}, n = {number(row.n)}; {how(row)}" if row.route else how(row))
    parts.append(tightest(row))
    words = headed(row)
    # of the others, `how` gives the reason
    if words in ("undecided", REFUSED) or words != row.verdict:
        parts = [row.reason, *(parts if row.route else [])]  # published tables give no reason
    heading = _heading(row.verdict, row.claim, words)
    meaning = [indented(f"In practice: {row.meaning}")] if row.meaning else []
    return [heading, indented(row.statement), *meaning, indented("; ".join(filter(None, parts)))]


def checked_table(document: list[dict[str, Any]]) -> Group:
    lines: list[RenderableType] = []
    outcomes = ["refused" if row["refused"] else row["shows"] for row in document]
    for row, outcome in zip(document, outcomes, strict=True):
        passed = f"{row['boxes']} boxes checked" if row["boxes"] else "checked exactly"
        result = row["refused"] or f"{passed}; in {row['seconds']:.2g} s"
        lines += [
            _heading(outcome, row["claim"] or row["file"]),
            indented(f"{row['file']}: {result}"),
        ]
    return Group(
        *lines, ", ".join(f"{n} {outcome}" for outcome, n in Counter(outcomes).items()) + "."
    )


def _heading(outcome: str, name: str, words: str | None = None) -> Text:
    return Text.assemble((f"{words or outcome:<11}  ", VERDICT_STYLES[outcome]), (name, "bold"))
