"""The table of prompts against the groups written out one by one."""

import numpy as np
import pytest
from hypothesis import given
from reference import prompt_by_mixture

from simulator.prompts import LINEAR
from simulator.strategies import table_worlds, worlds
from simulator.world import World


@given(worlds(most_attributes=2) | table_worlds())
def test_single_captions_are_means_over_groups(world):
    for prompt in LINEAR:
        q, slow = world.prompts(prompt), prompt_by_mixture(world, prompt)
        size = 1 + np.abs(slow).max()
        np.testing.assert_allclose(q, slow, rtol=0, atol=1e-12 * size, err_msg=prompt)
        if world.table is None:
            own = world.prompt(prompt)
            pattern = q.reshape(world.classes, len(own), -1)
            gap = pattern[0, :, 0] - pattern[1, :, 0]
            np.testing.assert_allclose(gap, own * (2 if world.classes == 2 else 1), rtol=0, atol=1e-12 * size)


def test_a_class_with_several_common_backgrounds_is_shown_on_each_alike():
    world = World(table=[[0.2, 0.2, 0.1], [0.1, 0.1, 0.3]], mu_inv=2.0, mu_spu=3.0)
    assert world.prompts("background")[0] == pytest.approx([2, 1.5, 1.5, 0])
    assert world.prompts("background")[1] == pytest.approx([-2, 0, 0, 3])
