"""A loss that is not finite never reaches the weights."""

import contextlib
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


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_training_stops_and_names_the_iteration_and_the_images(data, spoil, tmp_path, value):
    spoil({3}, value)
    with pytest.raises(UserError, match=(
            rf"^iteration 3: the loss is {value} for (\S+\.png, \S+\.png)\. The last checkpoint is "
            r".*iter_2.pth. .*skip_non_finite_losses=True")):
        train(training_config(data), "run", str(tmp_path))
    assert [path.name for path in tmp_path.glob("*.pth")] == ["iter_2.pth"]
    assert all_finite(tmp_path / "iter_2.pth")


@pytest.mark.parametrize("bad, ends", [(range(2, 11), True), (range(3, 13), False)])
def test_steps_are_skipped_if_configured_but_ten_in_a_row_stop(data, spoil, tmp_path, bad, ends):
    spoil(set(bad))
    cfg = training_config(data, max_iters=12)
    cfg.skip_non_finite_losses = True
    cfg.optim_wrapper.accumulative_counts = 2
    stops = contextlib.nullcontext() if ends else pytest.raises(
        UserError, match="iteration 12: the loss is nan .*10th step in a row .*iter_10.pth")
    with stops:
        train(cfg, "run", str(tmp_path))
    (log,) = tmp_path.glob("*/*.log")
    assert log.read_text().count("skipping the step") == 9
    last = ckpt.load_file(tmp_path / f"iter_{12 if ends else 10}.pth")
    assert all_finite(tmp_path / f"iter_{12 if ends else 10}.pth")
    steps = {int(state["step"]) for state in last["optimizer"]["state"].values()}
    # one step per two iterations; those of nine bad ones are left out
    assert steps == {1}
