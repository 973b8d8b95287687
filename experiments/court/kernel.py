"""Coq: proved claims as theorems in a folder, and what Coq's kernel says of them.

`write_theorems` writes Shared.v and one file per claim. `accepted_by_kernel` compiles copies of them with coqc. A file
is accepted if it states what the claim says today, if coqc accepts it, and if its theorems rest on no other axioms than
those of Coq's classical reals.
"""

import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from experiments.errors import RequestError
from experiments.files import check_writable, write_atomically
from theory.claims.claim import Claim

SECONDS = 120  # of processor time, per file
MARK = b"(* soberclip"
AXIOMS = {  # of the classical reals, in Coq's own library
    "ClassicalDedekindReals.sig_forall_dec",
    "ClassicalDedekindReals.sig_not_dec",
    "Classical_Prop.classic",
    "FunctionalExtensionality.functional_extensionality_dep",
}
# In a proof: the end of a proof, or a command. Commands begin with a capital letter.
FORBIDDEN = re.compile(r"\(\*|(^|[.{}]\s)\s*[A-Z#]", re.M)


def file_name(claim_id: str) -> str:
    """The name of a claim's file; Coq's modules have letters, digits and _ only."""
    return re.sub(r"[^A-Za-z0-9]", "_", claim_id) + ".v"


def write_theorems(folder: Path, claims: Iterable[Claim]) -> list[dict[str, Any]]:
    """Write the theorems of claims to a folder. Each result has the file's name, or the reason why there is none."""
    from theory.proofs.coq import SHARED, file_of
    from theory.proofs.expression import NotExpressible

    results, texts = [], {"Shared.v": SHARED}
    for claim in claims:
        name, reason = file_name(claim.id), None
        try:
            texts[name] = file_of(claim)
        except NotExpressible as error:
            name, reason = None, str(error)
        results.append({"claim": claim.id, "file": name, "reason": reason})
    check_writable(folder, "check", texts, MARK)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_atomically(folder / name, lambda path, text=text: path.write_text(text, encoding="utf-8"))
    return results


def accepted_by_kernel(folder: Path, claims: Iterable[Claim], report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Compile every file of a folder with coqc. Each result has the theorems and axioms, or why the file is refused.

    Raises RequestError if coqc is missing, or the folder holds no file.
    """
    from theory.proofs.coq import SHARED

    coqc = shutil.which("coqc")
    if coqc is None:
        raise RequestError("--kernel needs coqc; install the Debian packages coq and libcoq-interval")
    files = [path for path in sorted(folder.glob("*.v")) if path.name != "Shared.v"]
    if not files:
        raise RequestError(f"{str(folder)!r} holds no theorem (*.v); check --prove NAME --coq FOLDER writes them")
    known = {file_name(claim.id): claim for claim in claims}
    with TemporaryDirectory() as place:
        # Our own definitions, whatever the folder's Shared.v says.
        (Path(place) / "Shared.v").write_text(SHARED, encoding="utf-8")
        if (error := _compiled(coqc, place, "Shared.v")[1]) is not None:
            raise RequestError(f"coqc does not accept Shared.v ({error}); it needs Coq 8.20 and libcoq-interval")
        results = []
        for path in files:
            report(f"coqc {path.name}")
            results.append(_result(coqc, place, path, known.get(path.name)))
    return results


def _result(coqc: str, place: str, path: Path, claim: Claim | None) -> dict[str, Any]:
    began, axioms, names = perf_counter(), [], []
    text = path.read_text(encoding="utf-8", errors="replace")
    if claim is None:
        refused = "no claim has this file; --claims FILE.py adds claims of your own"
    elif (names := _names(text, claim)) is None:
        refused = "it states something else than the claim, or holds more than theorems and their proofs"
    else:
        asked = "".join(f"Print Assumptions {name}.\n" for name in names)
        (Path(place) / path.name).write_text(f"{text}\n{asked}", encoding="utf-8")
        output, refused = _compiled(coqc, place, path.name)
        axioms = sorted(set(re.findall(r"^([\w.]+)\s*:", output, re.M)) - {"Axioms"})
        other = sorted(set(axioms) - AXIOMS)
        refused = refused or (f"it rests on {', '.join(other)}" if other else None)
    return {
        "file": path.name,
        "claim": claim and claim.id,
        "theorems": [] if refused else names,
        "axioms": axioms,
        "refused": refused,
        "seconds": round(perf_counter() - began, 1),
    }


def _names(text: str, claim: Claim) -> list[str] | None:
    """The names of a file's theorems, if they are the claim's and the file holds only them, their proofs and comments.

    Anything else, a definition of Phi for example, could give the same words another meaning.
    """
    from theory.proofs.coq import theorems

    due = theorems(claim)
    stated = [rf"Theorem {each.name} : {re.escape(each.statement)}\.\nProof\. (.*?) Qed\.\n" for each in due]
    found = re.fullmatch(r"\(\*[^*]*\*\)\nRequire Import Shared\.\n\n" + "\n".join(stated), text, re.S)
    if found is None or any(FORBIDDEN.search(body) for body in found.groups()):
        return None
    return [each.name for each in due]


def _compiled(coqc: str, place: str, name: str) -> tuple[str, str | None]:
    """What coqc prints about a file, and its error in a line; None if it accepts the file."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))

    done = subprocess.run([coqc, "-w", "none", name], cwd=place, capture_output=True, text=True, preexec_fn=limited)
    if done.returncode < 0:
        return "", f"coqc does not finish within {SECONDS} s"
    error = " ".join(done.stderr.split()) if done.returncode else None
    return done.stdout, None if error is None else error[:300]
