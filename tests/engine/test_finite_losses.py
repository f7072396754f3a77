"""A loss that is not finite never reaches the weights."""

import math

import pytest
import torch
from tiny_training import training_config

from rein import checkpoint as ckpt
from rein.engine.training import train
from rein.errors import UserError
from rein.models.segmentors.encoder_decoder import EncoderDecoder


@pytest.fixture
def spoil(monkeypatch):
    """Return a function that makes the losses of some iterations not finite."""
    parse = EncoderDecoder.parse_losses
    calls = []

    def spoil(iterations, value=math.nan):
        def parse_losses(model, losses):
            calls.append(1)
            loss, log = parse(model, losses)
            return (loss * value if len(calls) in iterations else loss), log

        calls.clear()
        monkeypatch.setattr(EncoderDecoder, "parse_losses", parse_losses)

    return spoil


def all_finite(path):
    weights = ckpt.load_file(path)["state_dict"]
    return all(torch.isfinite(value).all() for value in weights.values())


def test_training_stops_and_names_the_iteration_and_the_images(data, spoil, tmp_path):
    spoil({3}, math.nan)
    with pytest.raises(UserError, match=(
            r"^iteration 3: the loss is nan for (\S+\.png, \S+\.png)\. The last checkpoint is "
            r".*iter_2.pth. .*skip_non_finite_losses=True")):
        train(training_config(data), "run", str(tmp_path))
    assert [path.name for path in tmp_path.glob("*.pth")] == ["iter_2.pth"]
    assert all_finite(tmp_path / "iter_2.pth")


def test_steps_are_skipped_if_configured_but_ten_in_a_row_stop(data, spoil, tmp_path):
    bad = {2, 3, 4, *range(7, 17)}
    spoil(bad, math.inf)
    cfg = training_config(data, max_iters=18)
    cfg.skip_non_finite_losses = True
    cfg.optim_wrapper.accumulative_counts = 2
    with pytest.raises(UserError, match=(
            "iteration 16: the loss is inf .*, the 10th step in a row .*iter_14.pth")):
        train(cfg, "run", str(tmp_path))
    (log,) = tmp_path.glob("*/*.log")
    for iteration in range(1, 16):
        line = f"iteration {iteration}: the loss is inf for "
        assert (line in log.read_text()) == (iteration in bad)
    assert all_finite(tmp_path / "iter_14.pth")
    optimizer = ckpt.load_file(tmp_path / "iter_14.pth")["optimizer"]
    # a step takes two iterations; only the fifth and sixth were both good
    assert {int(state["step"]) for state in optimizer["state"].values()} == {1}
