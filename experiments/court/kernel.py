"""Coq: proved and refuted claims as theorems in a folder, and what Coq's kernel says of them.

`write_theorems` writes one file per claim, and the shared ones. `accepted_by_kernel` compiles copies with coqc. A file
is accepted if it states what the claim says today, if coqc accepts it, and if its theorems rest on no other axioms than
those of Coq's classical reals. The claims whose files are accepted are recorded in coq.json. The record of this project
lies beside the claims: `checked_by_coq` reads it, and a claim that has changed since is not in it.
"""

import json
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterable
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from experiments.errors import RequestError
from experiments.files import check_writable, write_atomically, write_json
from theory.claims.claim import Claim

SECONDS = 120  # of processor time, per file
MARK = b"(* soberclip"
RECORD, RECORD_MARK = "coq.json", b'"coq": "'
SHARED, THRESHOLDS = "Shared.v", "infonce_by_name.v"
AXIOMS = {  # of the classical reals, in Coq's own library
    "ClassicalDedekindReals.sig_forall_dec",
    "ClassicalDedekindReals.sig_not_dec",
    "Classical_Prop.classic",
    "FunctionalExtensionality.functional_extensionality_dep",
}
# In a proof: the end of a proof, or a command. Commands begin with a capital letter, perhaps after bullets and braces.
FORBIDDEN = re.compile(r"\(\*|(^|\.\s|[{}])[\s{}*+-]*[A-Z#]", re.M)


def checked_by_coq(claim: Claim, outcome: str) -> bool:
    """Whether Coq's kernel has accepted that this claim, as it is today, is "proved" or "refuted"."""
    from theory.proofs.identity import digest_of  # recording formulas is not needed to judge

    entry = record()["claims"].get(claim.id)
    return entry is not None and entry["shows"] == outcome and entry["digest"] == digest_of(claim).sha256


@cache
def record() -> dict[str, Any]:
    """The record of this project: coqc's version, and by claim what it shows, and the digests of claim and file."""
    return json.loads(files("theory.claims").joinpath(RECORD).read_text(encoding="utf-8"))


def file_name(claim_id: str) -> str:
    """The name of a claim's file; Coq's modules have letters, digits and _ only."""
    return re.sub(r"[^A-Za-z0-9]", "_", claim_id) + ".v"


def write_theorems(folder: Path, outcomes: Iterable[tuple[Claim, str]]) -> list[dict[str, Any]]:
    """Write theorems that claims are "proved" or "refuted", and the theorem on InfoNCE's thresholds, to a folder.

    Each result has the file's name, or the reason why there is none.
    """
    from theory.proofs import coq
    from theory.proofs.expression import NotExpressible

    results, texts = [], {SHARED: coq.SHARED, THRESHOLDS: coq.THRESHOLDS}
    for claim, outcome in outcomes:
        name, reason = file_name(claim.id), None
        try:
            texts[name] = coq.file_of(claim, outcome == "refuted")
        except NotExpressible as error:
            name, reason = None, str(error)
        results.append({"claim": claim.id, "file": name, "reason": reason})
    check_writable(folder, "check", texts, MARK)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_atomically(folder / name, lambda path, text=text: path.write_text(text, encoding="utf-8"))
    return results


def accepted_by_kernel(folder: Path, claims: Iterable[Claim], report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Compile every file of a folder with coqc, and record the accepted claims in the folder.

    Each result has the theorems and axioms, or why the file is refused. Raises RequestError if coqc is missing, or the
    folder holds no file.
    """
    from theory.proofs import coq
    from theory.proofs.identity import digest_of

    coqc = shutil.which("coqc")
    if coqc is None:
        raise RequestError("--kernel needs coqc; install the Debian packages coq and libcoq-interval")
    paths = [path for path in sorted(folder.glob("*.v")) if path.name != SHARED]
    if not paths:
        raise RequestError(f"{str(folder)!r} holds no theorem (*.v); check --prove NAME --coq FOLDER writes them")
    check_writable(folder, "check --verify --kernel", [RECORD], RECORD_MARK)
    known = {file_name(claim.id): claim for claim in claims}
    entries, results = {}, []
    with TemporaryDirectory() as place:
        # Our own definitions, whatever the folder's Shared.v says.
        (Path(place) / SHARED).write_text(coq.SHARED, encoding="utf-8")
        if (error := _compiled(coqc, place, SHARED)[1]) is not None:
            raise RequestError(f"coqc does not accept {SHARED} ({error}); it needs Coq 8.20 and libcoq-interval")
        for path in paths:
            report(f"coqc {path.name}")
            claim, text = known.get(path.name), path.read_text(encoding="utf-8", errors="replace")
            results.append(_result(coqc, place, path.name, text, claim))
            if claim is not None and not results[-1]["refused"]:
                entries[claim.id] = {
                    "shows": results[-1]["shows"],
                    "digest": digest_of(claim).sha256,
                    "file": file_digest(text),
                }
    write_json(folder / RECORD, {"coq": _version(coqc), "claims": entries})
    return results


def file_digest(text: str) -> str:
    """SHA-256 of a claim's file and of the definitions that it uses."""
    from theory.proofs import coq

    return sha256(f"{coq.SHARED}{text}".encode()).hexdigest()


def _result(coqc: str, place: str, file: str, text: str, claim: Claim | None) -> dict[str, Any]:
    began, axioms, names = perf_counter(), [], []
    if claim is None and file != THRESHOLDS:
        refused = "no claim has this file; --claims FILE.py adds claims of your own"
    elif (names := _names(text, claim)) is None:
        refused = "it states something else than the claim, or holds more than theorems and their proofs"
    else:
        asked = "".join(f"Print Assumptions {name}.\n" for name in names)
        (Path(place) / file).write_text(f"{text}\n{asked}", encoding="utf-8")
        output, refused = _compiled(coqc, place, file)
        axioms = sorted(set(re.findall(r"^([\w.]+)\s*:", output, re.M)) - {"Axioms"})
        other = sorted(set(axioms) - AXIOMS)
        more = f" and {len(other) - 3} more axioms" if len(other) > 3 else ""
        refused = refused or (f"it rests on {', '.join(other[:3])}{more}" if other else None)
    return {
        "file": file,
        "claim": claim and claim.id,
        "shows": None if refused else "refuted" if names[0].startswith("refuted") else "proved",
        "theorems": [] if refused else names,
        "axioms": axioms,
        "refused": refused,
        "seconds": round(perf_counter() - began, 1),
    }


def _names(text: str, claim: Claim | None) -> list[str] | None:
    """The names of a file's theorems, if they are the claim's and the file holds only them, their proofs and comments.

    Anything else, a definition of Phi for example, could give the same words another meaning. Without a claim the text
    must be that of the theorem on thresholds.
    """
    from theory.proofs import coq

    if claim is None:
        return re.findall(r"^Theorem (\w+)", text, re.M) if text == coq.THRESHOLDS else None
    due = [coq.refutation(claim)] if "\nTheorem refuted_" in text else coq.theorems(claim)
    stated = [rf"Theorem {each.name} : {re.escape(each.statement)}\.\nProof\. (.*?) Qed\.\n" for each in due]
    found = re.fullmatch(r"\(\*[^*]*\*\)\nRequire Import Shared\.\n\n" + "\n".join(stated), text, re.S)
    if found is None or any(FORBIDDEN.search(body) for body in found.groups()):
        return None
    return [each.name for each in due]


def _version(coqc: str) -> str:
    return subprocess.run([coqc, "--print-version"], capture_output=True, text=True, check=True).stdout.split()[0]


def _compiled(coqc: str, place: str, name: str) -> tuple[str, str | None]:
    """What coqc prints about a file, and its error in a line; None if it accepts the file."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))

    done = subprocess.run([coqc, "-w", "none", name], cwd=place, capture_output=True, text=True, preexec_fn=limited)
    if done.returncode < 0:
        return "", f"coqc does not finish within {SECONDS} s"
    error = " ".join(done.stderr.split()) if done.returncode else None
    return done.stdout, None if error is None else error[:300]
