"""The fit finds the temperature that synthetic scores were drawn with."""

import numpy as np
import pytest
import torch

from rein.evaluation.temperature import RANGE, assess, fit_temperature, log_scores


def drawn(temperature, count=40_000, classes=5):
    """Draw logits, and classes from their softmax at a temperature."""
    torch.manual_seed(0)
    logits = 4 * torch.randn(count, classes)
    truth = torch.multinomial((logits / temperature).softmax(1), 1)[:, 0]
    return logits, truth


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_synthetic_scores_is_recovered(temperature):
    logits, truth = drawn(temperature)
    found = fit_temperature(log_scores(logits.exp()), truth)
    assert found == pytest.approx(temperature, rel=0.05)
    fitted = assess(logits, truth, found)
    assert fitted.ece < 0.7
    for other in (0.9 * found, 1.1 * found):
        assert assess(logits, truth, other).nll > fitted.nll


def test_likelihood_and_error_are_those_of_the_softmax():
    logits, truth = drawn(2.0, 500)
    chances = (logits.double() / 2).softmax(1).numpy()
    expected = -np.log(chances[np.arange(500), truth.numpy()]).mean()
    assert assess(logits, truth, 2.0).nll == pytest.approx(expected, rel=1e-5)


def test_scores_without_an_optimum_stay_in_the_range():
    logits = torch.eye(3).repeat(10, 1)
    right, wrong = logits.argmax(1), logits.argmin(1)
    assert RANGE[0] <= fit_temperature(logits, right) < 0.1
    assert 10 < fit_temperature(logits, wrong) <= RANGE[1]
    assert torch.isfinite(log_scores(torch.zeros(2, 3))).all()
