"""An adapter that cannot learn stops the run at its first step."""

import pytest
import torch
from own_adapters import Scales, Vera
from tiny_training import training_config
from torch import nn

from rein import checkpoint as ckpt
from rein.engine.training.run import train
from rein.errors import UserError


class ForgetsReturn(Scales):
    def _scale(self, block, args, output):
        super()._scale(block, args, output)


class Late(Scales):
    def _scale(self, block, args, output):
        if not hasattr(self, "shift"):
            self.shift = nn.Parameter(torch.zeros(32))
        return super()._scale(block, args, output) + self.shift


class Spare(Scales):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.spare = nn.Parameter(torch.zeros(3))


def config(data, registered, *kinds, **options):
    """Configure two iterations of an adapter, accumulated to one step."""
    registered(*kinds)
    cfg = training_config(data, max_iters=2)
    cfg.model.backbone.pop("reins_config")
    cfg.model.backbone.reins_config = dict(
        type="Combined", adapters=[dict(type=kind.__name__) for kind in kinds])
    cfg.model.decode_head.update(linked_queries=False, replace_query_feat=False)
    cfg.optim_wrapper.accumulative_counts = 2
    cfg.update(options)
    return cfg


@pytest.mark.parametrize("kind, message", [
    (ForgetsReturn, "ForgetsReturn: no parameter, such as scales, has a gradient.*return their"),
    (Late, "Late: the optimizer lacks its parameter shift, of 1 such.*Create all parameters in")])
def test_an_adapter_that_cannot_learn_is_named(data, tmp_path, registered, kind, message):
    with pytest.raises(UserError, match=message):
        train(config(data, registered, Scales, kind), "run", str(tmp_path))
    assert not list(tmp_path.glob("*.pth"))


@pytest.mark.parametrize("kind, options, warning", [
    (Spare, {}, "Spare: 1 of 2 parameters have no gradient in the first step, such as spare"),
    (ForgetsReturn, dict(find_unused_parameters=True), "ForgetsReturn: 1 of 1 parameters have no")])
def test_parameters_without_gradient_are_logged(
        data, tmp_path, registered, kind, options, warning):
    train(config(data, registered, kind, **options), "run", str(tmp_path))
    (log,) = tmp_path.glob("*/*.log")
    assert warning in log.read_text()


def test_an_adapter_with_frozen_parts_trains_with_averaged_weights(data, tmp_path, registered):
    cfg = config(data, registered, Vera, custom_hooks=[dict(type="EMAHook")])
    cfg.train_cfg.max_iters = 4
    train(cfg, "run", str(tmp_path))
    (log,) = tmp_path.glob("*/*.log")
    assert "no gradient" not in log.read_text()
    content = ckpt.load_file(tmp_path / "iter_4.pth")
    raw = ckpt.state_dict_of(ckpt.with_raw_weights(content, "iter_4.pth"))
    averaged = ckpt.state_dict_of(content)
    frozen, scales = (f"backbone.reins.adapters.0.{name}" for name in ("mix", "scales"))
    assert raw.keys() == averaged.keys()
    assert torch.equal(raw[frozen], averaged[frozen])
    assert not torch.equal(raw[scales], averaged[scales])
