"""A loss or gradient that is not finite never reaches the weights."""

import contextlib
import itertools
import math
import os
import re
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from processes import in_processes
from tiny_training import training_config

from rein import checkpoint as ckpt
from rein.engine.training.finite_losses import FiniteLossHook
from rein.engine.training.run import train
from rein.errors import UserError
from rein.models.segmentors.encoder_decoder import EncoderDecoder


def nan_loss(loss):
    return loss * math.nan


def inf_loss(loss):
    return loss * math.inf


def bad_gradient(loss):
    """Keep a loss, but not its gradient: the root's slope at 0 is infinite."""
    return loss + (loss - loss.detach()).sqrt()


@contextlib.contextmanager
def spoiling(iterations, spoil):
    """Spoil the losses of some iterations."""
    parse, count = EncoderDecoder.parse_losses, itertools.count(1)

    def parse_losses(model, losses):
        loss, log = parse(model, losses)
        return spoil(loss) if next(count) in iterations else loss, log

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EncoderDecoder, "parse_losses", parse_losses)
        yield


def all_finite(path):
    weights = ckpt.load_file(path)["state_dict"]
    return all(torch.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize("spoil, what", [
    (nan_loss, "loss is nan"),
    pytest.param(bad_gradient, r"gradient of \S+ is not finite", marks=pytest.mark.faults)])
def test_training_stops_and_names_the_iteration_and_the_images(data, tmp_path, spoil, what):
    with spoiling({3}, spoil), pytest.raises(UserError, match=(
            rf"^iteration 3: the {what} for (\S+\.png, \S+\.png)\. The last checkpoint is "
            r".*iter_2.pth. .*skip_non_finite_losses=True")):
        train(training_config(data), "run", str(tmp_path))
    assert [path.name for path in tmp_path.glob("*.pth")] == ["iter_2.pth"]
    assert all_finite(tmp_path / "iter_2.pth")


@pytest.mark.parametrize("spoil, what", [
    pytest.param(inf_loss, "loss is inf", marks=pytest.mark.faults),
    (bad_gradient, r"gradient of \S+ is not finite")])
def test_steps_are_skipped_if_configured_but_ten_in_a_row_stop(data, tmp_path, spoil, what):
    bad = {2, 3, 4, *range(7, 17)}
    cfg = training_config(data, max_iters=18)
    cfg.skip_non_finite_losses = True
    cfg.optim_wrapper.accumulative_counts = 2
    with spoiling(bad, spoil), pytest.raises(UserError, match=(
            f"iteration 16: the {what} .*, the 10th step in a row .*iter_14.pth")):
        train(cfg, "run", str(tmp_path))
    (log,) = tmp_path.glob("*/*.log")
    for iteration in range(1, 16):
        line = rf"iteration {iteration}: the {what} for "
        assert bool(re.search(line, log.read_text())) == (iteration in bad)
    assert all_finite(tmp_path / "iter_14.pth")
    optimizer = ckpt.load_file(tmp_path / "iter_14.pth")["optimizer"]
    # a step takes two iterations; only the fifth and sixth were both good
    assert {int(state["step"]) for state in optimizer["state"].values()} == {1}


@pytest.fixture
def hooked():
    """A model of one weight, 1, whose optimizer is checked; returns (weight, wrapper, hook)."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1.0))
    hook = FiniteLossHook()
    hook.before_train(SimpleNamespace(
        model=model, optim_wrapper=wrapper, cfg={}, iter=0, work_dir="nowhere"))
    return model.weight, wrapper, hook


@pytest.mark.parametrize("spoil, what", [
    (nan_loss, "the loss is nan"), (bad_gradient, "the gradient of weight is not finite")])
def test_a_step_that_would_spoil_the_weights_is_not_made(hooked, spoil, what):
    weight, wrapper, hook = hooked
    with pytest.raises(UserError, match=f"iteration 1: {what}"):
        wrapper.update_params(spoil(weight.sum()))
    assert weight.item() == 1
    hook.after_train(hook.runner)
    wrapper.update_params(weight.sum())
    assert weight.item() == 0


def test_a_loss_scale_that_is_too_high_is_left_to_the_scaler(hooked):
    weight, wrapper, hook = hooked
    wrapper.loss_scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    wrapper.loss_scaler.scale(weight.sum())  # it sets its scale when first used
    for name in ("backward", "step"):
        setattr(wrapper, name, partial(getattr(AmpOptimWrapper, name), wrapper))
    wrapper._scale_update_param = None
    wrapper.update_params(bad_gradient(weight.sum()))
    assert (weight.item(), wrapper.loss_scaler.get_scale()) == (1, 1)
    with pytest.raises(UserError, match="the gradient of weight is not finite"):
        wrapper.update_params(bad_gradient(weight.sum()))
    with pytest.raises(UserError, match="the loss is nan"):
        wrapper.update_params(nan_loss(weight.sum()))
    wrapper.update_params(weight.sum())
    assert weight.item() == 0


def train_spoiled(data, work_dir, spoil, skips):
    """Train in one of two processes, the second of which has a bad iteration 2 of 3."""
    cfg = training_config(data, 3)
    cfg.skip_non_finite_losses = skips
    cfg.optim_wrapper.accumulative_counts = 2 if skips else 1
    bad = {2} if int(os.environ["RANK"]) else ()
    try:
        with spoiling(bad, spoil):
            train(cfg, "run", str(work_dir), launcher="pytorch")
    except UserError as error:
        return str(error)
    return work_dir


@pytest.mark.parametrize("spoil, here, there", [
    (nan_loss, "the loss is nan for", "the loss is not finite in another process"),
    pytest.param(bad_gradient, *["the gradient of .* or another process's images"] * 2,
                 marks=pytest.mark.faults)])
def test_processes_decide_alike_on_what_one_of_them_meets(data, tmp_path, spoil, here, there):
    first, second = in_processes(train_spoiled, 2, tmp_path, data, tmp_path / "w", spoil, False)
    assert re.match(f"iteration 2: {there}", first) and re.match(f"iteration 2: {here}", second)


@pytest.mark.faults
@pytest.mark.parametrize("spoil", [nan_loss, bad_gradient])
def test_processes_skip_a_step_together(data, tmp_path, spoil):
    """Within an accumulation, too, where gradients differ by process."""
    in_processes(train_spoiled, 2, tmp_path, data, tmp_path / "w", spoil, True)
    content = ckpt.load_file(tmp_path / "w/iter_3.pth")
    assert all_finite(tmp_path / "w/iter_3.pth")
    assert {int(state["step"]) for state in content["optimizer"]["state"].values()} == {1}
