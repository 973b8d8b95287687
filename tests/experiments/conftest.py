"""The command line as a function of its arguments."""

import json
from dataclasses import dataclass

import pytest

from experiments.cli import main


@dataclass
class Run:
    """What a user sees of one command."""

    status: int
    out: str
    err: str

    @property
    def document(self):
        """stdout as JSON; fails unless stdout is one JSON document and nothing else."""
        return json.loads(self.out)


@pytest.fixture
def soberclip(capfd):
    """soberclip("predict", "--json") -> Run, with output captured at the level of file descriptors."""

    def run(*arguments: str) -> Run:
        capfd.readouterr()
        status = main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return Run(status, out, err)

    return run
