"""A test is named after its options."""

import dataclasses

import pytest

from rein.engine.testing.options import EvaluationOptions


def test_the_default_has_no_name_and_each_option_adds_to_it():
    assert EvaluationOptions().name_of("") == ""
    options = EvaluationOptions(mode="whole", tta=True, int8=True)
    assert options.name_of("rein") == "rein_whole_tta_int8"
    assert EvaluationOptions(tta=True).name_of("") == "tta"
    assert EvaluationOptions(raw_weights=True).name_of("full") == "full_raw"


def test_options_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EvaluationOptions().tta = True
