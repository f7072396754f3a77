"""Backbones, adapters, heads and sizes export with PyTorch's predictions: `make faults`."""

import numpy as np
import pytest
from conftest import tiny_model_config
from mmengine.config import Config
from tiny_encoder_only import encoder_only_config
from tiny_networks import STAGED
from tiny_onnx import agree, street, write_segmentor

from rein import checkpoint as ckpt
from rein.checkpoint import load_file, meta_of
from rein.engine.configs.carried import carried_config
from rein.engine.weights.folding import fold_adapter
from rein.errors import UserError
from rein.export.exporting import export_segmentor
from rein.export.onnx_predictor import load_onnx

pytestmark = pytest.mark.faults

LORA = dict(type="LoRA", rank=2, targets=["q", "v"])
COMMON = dict(channels=16, num_classes=4, norm_cfg=dict(type="GN", num_groups=4))
HEADS = {
    "linear": dict(type="FCNHead", in_channels=32, in_index=2, num_convs=0, concat_input=False,
                   **COMMON | dict(channels=32)),
    "fpn": dict(type="FPNHead", in_channels=[32] * 4, in_index=[0, 1, 2, 3],
                feature_strides=[4, 8, 16, 32], **COMMON),
}


def plain(head="mask", adapter=None):
    """Configure the tiny ViT, with Rein by default, and a head."""
    cfg = tiny_model_config()
    if adapter is not None:
        cfg.backbone.pop("reins_config")
        cfg.backbone["reins_config"] = adapter
    if head != "mask":
        cfg.decode_head = HEADS[head]
    elif adapter is not None:
        cfg.decode_head.update(linked_queries=False, replace_query_feat=False)
    return cfg


def staged():
    """Configure a tiny ConvNeXt with Rein and Mask2Former."""
    cfg = tiny_model_config()
    cfg.backbone = dict(type="VisionFoundationModel", **STAGED["convnext"], reins_config=dict(
        type="LoRAReins", token_length=8, query_dims=16, lora_dim=2))
    cfg.decode_head.in_channels = [8, 16, 24, 32]
    return cfg


CASES = {
    "rein": (plain, {}),
    "lora": (lambda: plain(adapter=LORA), {}),
    "staged": (staged, {}),
    "linear": (lambda: plain("linear", LORA), {}),
    "fpn": (lambda: plain("fpn"), {}),
    "eomt": (encoder_only_config, {}),
    "rein, any size": (plain, dict(dynamic=True)),
    "staged, any size": (staged, dict(dynamic=True)),
    "linear, any size": (lambda: plain("linear", LORA), dict(dynamic=True)),
    "whole, any size": (lambda: plain("linear"), dict(dynamic=True, whole=True)),
    "whole": (lambda: plain("linear"), dict(whole=True)),
    "batch of 3": (lambda: plain("linear"), dict(batch=3)),
}


@pytest.mark.parametrize("case", CASES)
def test_predictions_are_pytorchs(tmp_path, case):
    config, options = CASES[case]
    config = Config(dict(model=config())).model
    if options.get("whole"):
        config.test_cfg = dict(mode="whole")
    source = write_segmentor(tmp_path / "model.pth", config)
    export_segmentor(source, tmp_path / "model.onnx", **options)
    predictor = load_onnx(tmp_path / "model.onnx", threads=1)
    images = [street(96, 128), street(192, 256, 1)]
    if options.get("dynamic"):
        images += [street(70, 101, 2), street(200, 150, 3)]
    difference, equal = agree(source, predictor, images)
    assert difference < 1e-4 and equal > 0.9999, (difference, equal)


def test_a_folded_adapter_exports_as_the_frozen_network_alone(tmp_path):
    source = write_segmentor(tmp_path / "model.pth", plain("linear", LORA))
    content = load_file(source)
    cfg, weights = fold_adapter(
        carried_config(content, source), content["state_dict"], source)
    folded = ckpt.save_file(dict(
        meta=dict(meta_of(content), cfg=cfg.pretty_text), state_dict=weights),
        tmp_path / "folded.pth")
    export_segmentor(folded, tmp_path / "model.onnx")
    difference, equal = agree(source, load_onnx(tmp_path / "model.onnx", threads=1),
                              [street(96, 128)])
    assert difference < 1e-4 and equal > 0.9999


@pytest.mark.parametrize("precision, least", [("fp16", 0.98), ("int8", 0.9)])
def test_smaller_files_predict_nearly_the_same(tmp_path, precision, least):
    source = write_segmentor(tmp_path / "model.pth", plain("linear"))
    files = [export_segmentor(source, tmp_path / f"{p}.onnx", precision=p)
             for p in ("fp32", precision)]
    assert files[1].megabytes < 0.95 * files[0].megabytes
    one, other = (load_onnx(file.path, threads=1).predict(street()) for file in files)
    assert np.mean(one.seg_map == other.seg_map) > least


def test_a_fixed_whole_image_refuses_a_larger_one(tmp_path):
    source = write_segmentor(tmp_path / "model.pth", plain("linear"))
    export_segmentor(source, tmp_path / "model.onnx", whole=True)
    with pytest.raises(UserError, match="takes whole images of 128 x 96 pixels, but this one"):
        load_onnx(tmp_path / "model.onnx").predict(street(200, 100))
