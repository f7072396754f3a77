"""Distances equal independent formulas; images unlike the source's are flagged."""

import json

import numpy as np
import pytest

from rein.errors import UserError
from rein.evaluation.shift import FeatureStatistics, learn_statistics, shrunk_covariance


def features(count, seed, channels=6):
    """Draw correlated features of one source."""
    mixing = np.random.default_rng(0).normal(size=(channels, channels))
    return (np.random.default_rng(seed).normal(size=(count, channels)) @ mixing + 3).astype("f4")


def ledoit_wolf(samples):
    """Estimate the covariance as in Ledoit and Wolf (2004), lemma 3.2 to 3.5, term by term."""
    n, channels = samples.shape
    centred = samples - samples.mean(0)
    sample = sum(np.outer(x, x) for x in centred) / n
    m = np.trace(sample) / channels
    d2 = np.sum((sample - m * np.eye(channels))**2)
    b2 = min(sum(np.sum((np.outer(x, x) - sample)**2) for x in centred) / n**2, d2)
    return b2 / d2 * m * np.eye(channels) + (1 - b2 / d2) * sample


def test_covariance_equals_the_papers_formula():
    samples = features(20, 1).astype(float)
    found = shrunk_covariance(samples - samples.mean(0))
    np.testing.assert_allclose(found, ledoit_wolf(samples), rtol=1e-9)


def test_distance_equals_the_inverse_covariances():
    samples, new = features(40, 1), features(5, 2)
    found = learn_statistics(samples).distance(new)
    inverse = np.linalg.inv(ledoit_wolf(samples.astype(float)))
    for one, distance in zip(new - samples.mean(0, dtype=float), found, strict=True):
        assert distance == pytest.approx(np.sqrt(one @ inverse @ one / 6), rel=1e-4)


def test_directions_that_are_not_stored_have_their_mean_variance(monkeypatch):
    monkeypatch.setattr("rein.evaluation.shift.AXES", 2)
    samples, new = features(40, 1), features(3, 2)
    values, vectors = np.linalg.eigh(ledoit_wolf(samples.astype(float)))
    values[:4] = values[:4].mean()
    inverse = vectors @ np.diag(1 / values) @ vectors.T
    found = learn_statistics(samples).distance(new)
    for one, distance in zip(new - samples.mean(0, dtype=float), found, strict=True):
        assert distance == pytest.approx(np.sqrt(one @ inverse @ one / 6), rel=1e-4)


def test_an_outlier_is_flagged_and_new_images_of_the_source_are_not():
    known = learn_statistics(features(200, 1)).with_threshold(features(100, 2))
    shifts = [known.shift(one) for one in features(100, 3)]
    assert np.mean(np.array(shifts) > 1) <= 0.05
    assert known.shift(features(1, 4)[0] + np.array([30, 0, 0, 0, 0, 0])) > 2


def test_statistics_survive_json_to_the_bit_and_damaged_ones_are_refused():
    known = learn_statistics(features(50, 1)).with_threshold(features(20, 2))
    meta = json.loads(json.dumps(known.to_meta()))
    found = FeatureStatistics.from_meta(meta, "m.pth")
    assert np.array_equal(found.distance(features(5, 3)), known.distance(features(5, 3)))
    assert (found.threshold, found.images, found.held_out) == (known.threshold, 50, 20)
    for damage in (dict(mean="%"), dict(axes=meta["mean"][:-8]), dict(rest=0.0), dict(rest=None),
                   dict(threshold="far")):
        with pytest.raises(UserError, match="m.pth: damaged.*feature_statistics"):
            FeatureStatistics.from_meta({**meta, **damage}, "m.pth")
    with pytest.raises(UserError, match="have 6 channels, but the backbone's last map has 4"):
        found.distance(np.zeros(4))


def test_equal_images_give_finite_distances():
    known = learn_statistics(np.ones((4, 3), "f4")).with_threshold(np.ones((2, 3), "f4"))
    assert known.shift(np.ones(3, "f4")) == 0 and known.shift(np.zeros(3, "f4")) > 1
