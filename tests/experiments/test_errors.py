"""The error of an unknown name lists the known names, and a near one if it exists."""

from experiments.errors import unknown


def test_an_unknown_name_gets_the_known_ones():
    assert str(unknown("loss", "infonse", ["linear", "infonce"])).endswith("linear, infonce; the nearest is infonce")
    assert str(unknown("loss", "x", ["linear", "infonce"])).endswith("linear, infonce")
