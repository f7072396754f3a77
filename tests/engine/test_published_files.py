"""Files in the published format load and reproduce the published outputs."""

import json

import numpy as np
import pytest
import torch
from conftest import build, check_features
from mmengine.config import Config
from mmengine.logging.history_buffer import HistoryBuffer

from rein import checkpoint as ckpt
from rein.engine.inference import init_segmentor
from rein.engine.weights.files import merge_files
from rein.engine.weights.loading import load_for_testing


@pytest.fixture
def files(tmp_path, numbers, reference_config, reference):
    """A converted backbone with mask_token, adapter and head with mmengine's meta, both merged."""
    saved = json.loads((reference / "tiny_lora_published_keys.json").read_text())
    weights = numbers["state_dict"]
    backbone = {name.removeprefix("backbone."): value for name, value in weights.items()
                if name.startswith("backbone.") and name not in saved}
    backbone.setdefault("mask_token", torch.zeros(1, backbone["cls_token"].shape[-1]))
    meta = dict(
        cfg=reference_config.pretty_text, seed=0, experiment_name="rein", time="20231201_000000",
        mmengine_version="0.8.2", epoch=0, iter=40000, hook_msgs={},
        dataset_meta=dict(classes=("road", "sidewalk"), palette=[[128, 64, 128], [244, 35, 232]]))
    history = HistoryBuffer()
    history.update(np.float64(0.5))
    torch.save(backbone, tmp_path / "dinov2_converted.pth")
    torch.save(dict(
        meta=meta, state_dict={name: weights[name] for name in saved},
        message_hub=dict(log_scalars={"train/loss": history}, runtime_info=dict(iter=40000),
                         resumed_keys={}),
        optimizer=dict(state={}, param_groups=[]), param_schedulers=[],
    ), tmp_path / "dinov2_rein_and_head.pth")
    merged = {**{f"backbone.{name}": value for name, value in backbone.items()}, **weights}
    torch.save(dict(meta=meta, state_dict=merged), tmp_path / "dinov2_segmentor.pth")
    return tmp_path


def test_a_published_segmentor_runs_with_its_embedded_config(files, numbers):
    path = files / "dinov2_segmentor.pth"
    check_features(init_segmentor(path, path, device="cpu"), numbers)


def test_a_published_adapter_loads_onto_a_converted_backbone(files, numbers, reference_config):
    model = build(reference_config.model)
    path = files / "dinov2_rein_and_head.pth"
    load_for_testing(model, ckpt.load_file(path), path, files / "dinov2_converted.pth")
    check_features(model, numbers)


def test_merging_published_parts_gives_the_published_whole(files, numbers):
    merged = merge_files(files / "dinov2_converted.pth", files / "dinov2_rein_and_head.pth",
                         files / "merged.pth", Config())
    found, expected = (ckpt.load_file(path)["state_dict"] for path in (
        merged, files / "dinov2_segmentor.pth"))
    assert ckpt.digest(found) == ckpt.digest(expected)
    check_features(init_segmentor(merged, merged, device="cpu"), numbers)
