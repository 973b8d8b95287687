"""An unknown name is answered with the known ones."""

import pytest

from experiments.errors import unknown


@pytest.mark.parametrize(("written", "end"), [("infonse", "linear, infonce; the nearest is infonce"), ("x", "infonce")])
def test_an_unknown_name_lists_those_that_are_known(written, end):
    sentence = str(unknown("loss", written, ["linear", "infonce"]))
    assert repr(written) in sentence
    assert sentence.endswith(end)
