"""An unknown name is answered with the known ones, and with the nearest where one is near."""

from experiments.errors import unknown


def test_an_unknown_name_lists_those_that_are_known():
    assert str(unknown("loss", "infonse", ["linear", "infonce"])).endswith("linear, infonce; the nearest is infonce")
    assert str(unknown("loss", "x", ["linear", "infonce"])).endswith("linear, infonce")
