"""Sharding of the frozen backbone: what it computes, holds, and refuses."""

import pytest
import torch
from mmengine.config import Config
from processes import in_processes
from tiny_sharding import compare_backbones, segmentor
from tiny_training import training_config

from rein.engine.training import sharding
from rein.engine.training.run import train
from rein.engine.training.sharding import blocks_left_in_place, check_shardable
from rein.errors import UserError


def test_a_sharded_backbone_equals_a_whole_one_in_half_the_memory(tmp_path):
    """VPT's prompts travel as an attribute of the tokens."""
    shallow = dict(with_cp=True, reins_config=dict(type="VPT", num_tokens=3, deep=False))
    shares = in_processes(
        compare_backbones, 2, tmp_path, ("dinov2", dict(frozen_dtype="bf16")), ("mae", shallow))
    assert shares == [[0.5, 0.5], [0.5, 0.5]]


def test_frozen_blocks_do_not_follow_the_model_to_its_device():
    model = segmentor("mae")
    with blocks_left_in_place(model):
        model.to("meta")
    devices = {name: p.device.type for name, p in model.named_parameters()}
    blocks = {name for name in devices if name.startswith("backbone.model.blocks.")}
    assert {devices.pop(name) for name in blocks} == {"cpu"} and set(devices.values()) == {"meta"}
    assert {p.device.type for p in model.to("meta").parameters()} == {"meta"}


def test_one_process_is_refused(data, tmp_path):
    cfg = training_config(data)
    cfg.model_wrapper_cfg = dict(type="ShardedBackbone")
    with pytest.raises(UserError, match="several processes, found one. .* model_wrapper_cfg=None"):
        train(cfg, "run", str(tmp_path / "run"))


@pytest.mark.parametrize("frozen, settings, message", [
    (False, {}, "this backbone has none: all of it trains"),
    (True, dict(compile=True), "compile"),
    (True, dict(custom_hooks=[dict(type="EMAHook")]), "EMAHook"),
])
def test_a_run_that_cannot_shard_says_why(monkeypatch, frozen, settings, message):
    monkeypatch.setattr(sharding, "get_world_size", lambda: 2)
    model = segmentor("mae", frozen=frozen)
    with pytest.raises(UserError, match=message):
        check_shardable(model, Config(settings), True)


def test_a_backbone_without_blocks_is_refused(monkeypatch):
    monkeypatch.setattr(sharding, "get_world_size", lambda: 2)
    model = torch.nn.Module()
    model.backbone = torch.nn.Linear(1, 1)
    with pytest.raises(UserError, match="has none"):
        check_shardable(model, Config(), True)
