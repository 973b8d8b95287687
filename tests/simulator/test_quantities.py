"""Every quantity is declared once, with a finite domain that World enforces to the last bit."""

from typing import get_type_hints

import numpy as np
import pytest
from pydantic import ValidationError

from simulator.quantities import MEASURED, domain_of, quantity_of
from simulator.world import Attribute, World

FIELDS = [
    (model, name, hint)
    for model in (World, Attribute)
    for name, hint in get_type_hints(model, include_extras=True).items()
    if name in model.model_fields and name not in ("attribute", "views")
]


@pytest.mark.parametrize(("model", "name", "hint"), FIELDS)
def test_every_field_declares_words_and_a_finite_domain(model, name, hint):
    low, high = domain_of(hint)
    assert np.isfinite([low, high]).all()
    assert low < high
    quantity = quantity_of(hint)
    assert quantity.symbol
    assert quantity.meaning
    assert quantity.unit
    default = model.model_fields[name].default
    assert default is None or low <= default <= high


@pytest.mark.parametrize(("model", "name", "hint"), FIELDS)
def test_both_ends_are_valid_and_the_next_number_is_not(model, name, hint):
    wide = {"dim_image": 10**6, "dim_text": 10**6} if model is World else {}
    low, high = domain_of(hint)
    integer = isinstance(low, int)
    below, above = (low - 1, high + 1) if integer else (np.nextafter(low, -np.inf), np.nextafter(high, np.inf))
    for value in (low, high):
        if name.startswith("dim"):
            value = max(value, 2)
        assert getattr(model(**{**wide, name: value}), name) == value
    for value in (below, above):
        with pytest.raises(ValidationError, match=name):
            model(**{**wide, name: value if integer else float(value)})


def test_only_the_noise_of_captions_may_be_left_to_another_field():
    assert [name for model, name, _ in FIELDS if model.model_fields[name].default is None] == ["sigma_xi_text"]
    assert World(sigma_xi=2.0).nu_text == World(sigma_xi=9.0, sigma_xi_text=2.0).nu_text == 4 / 64


def test_measured_quantities_share_one_vocabulary():
    assert {"common", "counter", "balanced", "drop"} <= set(MEASURED)
    assert all(q.symbol and q.meaning and q.unit for q in MEASURED.values())
