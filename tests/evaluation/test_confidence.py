"""Calibration error equals a hand-computed case and the definition of Guo et al."""

import numpy as np
import pytest

from rein.errors import UserError
from rein.evaluation.confidence import (
    expected_calibration_error,
    reliability_bins,
    temperature_of,
)
from rein.evaluation.results import ImageResult, reliability_of


def test_calibration_error_equals_a_hand_computed_case():
    confidence = np.array([0.95, 0.95, 0.95, 0.65, 0.65], np.float32)
    correct = np.array([True, True, False, True, False])
    bins = reliability_bins(confidence, correct, 10)
    # (3 |2/3 - 0.95| + 2 |1/2 - 0.65|) / 5
    assert expected_calibration_error(bins) == pytest.approx(100 * (0.85 + 0.3) / 5, abs=1e-4)
    assert bins[0].tolist() == [0, 0, 0, 0, 0, 0, 2, 0, 0, 3]


def test_calibration_error_equals_its_definition():
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(2000).astype(np.float32), rng.random(2000) < 0.6
    error = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        error += inside.sum() / 2000 * abs(correct[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(reliability_bins(confidence, correct)) == pytest.approx(
        100 * error, abs=1e-4)


def test_ends_of_the_range_have_bins():
    bins = reliability_bins(np.array([0.0, 0.2, 1.0], np.float32), np.ones(3, bool), 5)
    assert bins[0].tolist() == [2, 0, 0, 0, 1]


def test_domains_sum_their_images_and_those_without_scores_are_left_out():
    one = reliability_bins(np.array([0.9]), np.array([True]))
    images = [
        ImageResult("a", "1", bins=one, shift=0.5), ImageResult("a", "2", bins=one, shift=2.0),
        ImageResult("b", "3"), ImageResult("c", "4", bins=one), ImageResult("a", "5", error="x")]
    found = reliability_of(images)
    assert list(found) == ["a", "c"] and found["a"].bins[0].sum() == 2
    assert found["a"].flagged == 50 and np.isnan(found["c"].flagged)
    assert found["c"].measures()["flagged"] is None
    assert found["a"].error == pytest.approx(10) and found["a"].accuracy == 100


@pytest.mark.parametrize("value", [None, "1", 0.0, -1.0, float("nan"), float("inf")])
def test_a_damaged_temperature_is_refused(value):
    assert temperature_of(None, "m.pth") == 1
    with pytest.raises(UserError, match="m.pth: damaged.*--calibrate"):
        temperature_of(dict(temperature=value), "m.pth")
