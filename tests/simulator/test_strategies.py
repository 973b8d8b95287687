"""The strategy for worlds reaches every branch of the code, and draws valid worlds only."""

from contextlib import suppress

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis.errors import NoSuchExample

from simulator.strategies import quantity, worlds

BRANCHES = {
    "two classes, full captions": lambda w: w.classes == 2 and w.mention_inv == w.mention_spu == 1,
    "masked object": lambda w: 0 < w.mention_inv < 1,
    "masked background": lambda w: 0 < w.mention_spu < 1,
    "never mentioned": lambda w: w.mention_spu == 0,
    "no randomness at all": lambda w: w.sigma_inv == w.sigma_spu == w.sigma_xi == 0,
    "no mean, opposite background": lambda w: w.mu_inv == 0 > w.mu_spu,
    "attribute and classes": lambda w: w.attribute and w.classes > 2,
    "dictionaries fill the views": lambda w: w.dim_image == w.dim_text == w.latents,
    "views of two widths": lambda w: w.dim_image != w.dim_text,
    "no correlation": lambda w: w.p_spu == 0.5,
    "full correlation, a certain object": lambda w: w.p_spu == w.p_inv == 1,
    "object of another class": lambda w: 0.5 < w.p_inv < 1,
    "object and background against the label": lambda w: w.p_inv < 0.5 and w.p_spu < 0.5,
    "captions as noisy as images": lambda w: w.sigma_xi_text is None and w.sigma_xi > 0,
    "captions without noise": lambda w: w.sigma_xi_text == 0 and w.sigma_xi > 0,
    "captions with noise of their own": lambda w: w.sigma_xi_text and w.sigma_xi_text != w.sigma_xi,
}


@pytest.mark.deep
def test_every_branch_is_reached():
    missing = dict(BRANCHES)

    def last(world) -> bool:
        for branch in [name for name, reached in missing.items() if reached(world)]:
            del missing[branch]
        return not missing

    # nothing is shrunk
    how = settings(max_examples=3000, database=None, derandomize=True, phases=[Phase.generate])
    with suppress(NoSuchExample):
        find(worlds(), last, settings=how)
    assert not missing, list(missing)


@given(
    worlds(most_attributes=2, scale=1e3, extra_dimensions=0),
    quantity("classes", 3, 7),
    quantity("mu_inv", high=2.0),
)
def test_worlds_and_quantities_keep_to_their_arguments(world, classes, mean):
    assert world.dim_image == world.dim_text == world.latents
    assert len(world.attribute) <= 2
    assert max(abs(world.mu_inv), world.sigma_spu) <= 1e3
    assert classes in range(3, 8)
    assert mean <= 2
