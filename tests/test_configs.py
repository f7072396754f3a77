"""Every config loads, builds, and can be carried in a checkpoint as plain data."""

import re

import pytest
from conftest import ROOT
from mmengine.config import Config

from rein.engine.configs.carried import config_from_text
from rein.engine.weights.loading import build_empty

LEAVES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "configs").rglob("*.py") if "_base_" not in path.parts)


FAMILIES = ("clip", "convnext", "dinov3", "eva02", "mae", "pe", "radio", "resnet", "sam", "siglip2")
"""Folders whose baselines differ from Rein's config by the adapter alone."""


def _leaf(path):
    """Mark the baselines of other families: they build in the long run of tests."""
    folder, name = path.split("/")[1], path.rpartition("/")[2]
    slow = folder in FAMILIES and not name.startswith("rein_")
    return pytest.param(path, marks=pytest.mark.faults) if slow else path


@pytest.mark.parametrize("path", map(_leaf, LEAVES))
def test_config_builds_and_is_plain_data(path):
    cfg = Config.fromfile(ROOT / path)
    backbone = build_empty(cfg).backbone
    widths, name = backbone.embed_dims, path.rpartition("/")[2]
    widths = [widths] * 4 if isinstance(widths, int) else widths
    taken = cfg.model.get("neck", cfg.model.decode_head).in_channels
    assert widths == ([taken] * 4 if isinstance(taken, int) else list(taken))
    if name.startswith(("rein_", "frozen_")):
        trained = {name.split(".")[0] for name, p in backbone.named_parameters() if p.requires_grad}
        assert trained == ({"reins"} if name.startswith("rein_") else set())
    assert cfg.model.data_preprocessor["size"] == cfg.model.test_cfg.crop_size
    assert config_from_text(cfg.pretty_text, path)._cfg_dict == cfg._cfg_dict


def differences(ours, published, path=""):
    if isinstance(ours, dict) and isinstance(published, dict):
        for key in ours.keys() | published.keys():
            yield from differences(ours.get(key), published.get(key), f"{path}.{key}")
    elif isinstance(ours, list | tuple) and isinstance(published, list | tuple):
        if len(ours) != len(published):
            yield path
        for i, (a, b) in enumerate(zip(ours, published, strict=False)):
            yield from differences(a, b, f"{path}[{i}]")
    elif ours != published:
        yield path


def test_main_config_equals_the_published_one_except_for_domains(published_config):
    cfg = Config.fromfile(ROOT / "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py")
    own_keys = ("type", "domain", "img_suffix", "seg_map_suffix", "protocol", "linked_queries",
                   "max_unlabelled", "num_workers")
    for part in ("model", "train_dataloader", "val_dataloader", "test_dataloader", "val_evaluator",
                 "test_evaluator", "optim_wrapper", "param_scheduler", "train_cfg", "val_cfg",
                 "test_cfg", "default_hooks", "env_cfg", "visualizer", "randomness", "tta_model"):
        wrong = [
            path for path in differences(cfg[part], published_config[part], part)
            if path.rpartition(".")[2] not in own_keys
        ]
        assert not wrong
    assert cfg.model.backbone.type == published_config.model.backbone.type


@pytest.mark.parametrize("path, lr", [
    ("configs/dinov2/dinov2_mask2former_512x512_bs1x4.py", 1e-4),
    ("configs/camvid/lite0_mask2former_288x288.py", 1e-3)])
def test_full_fine_tuning_slows_the_whole_backbone_and_exempts_norms_from_decay(path, lr):
    from mmengine.optim import build_optim_wrapper

    cfg = Config.fromfile(ROOT / path)
    model = build_empty(cfg)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    names = {id(p): name for name, p in model.named_parameters()}
    assert len(wrapper.optimizer.param_groups) == len(names)
    for group in wrapper.optimizer.param_groups:
        (name,) = (names[id(p)] for p in group["params"])
        slow = 0.1 if name.startswith("backbone.") else 1
        assert group["lr"] == pytest.approx(lr * slow), name
        if re.search(r"\.norm|\.bn\d|level_embed|query_embed", name):
            assert group["weight_decay"] == 0, name
