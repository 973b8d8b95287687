"""Runs code in a fresh interpreter, without the environment variables that our processes set for
their children.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = ("GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT", "OMP_WAIT_POLICY")


def printed(code: str, **environment: str) -> str:
    """Stripped output of the code, which must exit with 0."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    command = [sys.executable, "-c", code]
    run = subprocess.run(
        command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()
