"""Shared by several tests: paths, threads, a tiny model."""

import copy
import gc
import json
import warnings
from pathlib import Path

import pytest
import torch

warnings.filterwarnings("ignore", message=".*indexing argument.*")  # torch.meshgrid in mmdet

import rein  # noqa: E402

rein.register_all_modules(init_default_scope=False)

from managers import own_managers  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402
from yapf.yapflib import yapf_api  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT.parent / "shared" / "reference"

# mmengine formats each run's config several times, which takes longer than a tiny training;
# commands in their own process still format it
yapf_api.FormatCode = lambda text, **_: (text, True)
gc.freeze()  # mmengine collects garbage for each dataset; spare all that was imported
torch.set_num_threads(1)  # tiny models gain nothing from more threads; `make test` uses all cores


@pytest.fixture(autouse=True)
def _own_managers():
    """Keep out the loggers of earlier tests, whose streams are closed, and their scopes."""
    with own_managers():
        yield


@pytest.fixture(scope="session")
def reference() -> Path:
    """Return the folder of numbers computed with the published implementation."""
    if not REFERENCE.is_dir():
        pytest.skip("the reference numbers are not beside this checkout")
    return REFERENCE


@pytest.fixture(scope="session")
def numbers(reference) -> dict:
    """Load the published implementation's results with a tiny model."""
    return torch.load(reference / "tiny_lora.pt", weights_only=True)


@pytest.fixture(scope="session")
def reference_config(reference) -> Config:
    """Return the config of that model."""
    return Config(dict(model=json.loads((reference / "tiny_lora.json").read_text())))


def check_features(model, numbers) -> None:
    """Compare a model's features and queries with the published implementation's."""
    model.eval()
    with torch.no_grad():
        feats = model.backbone(numbers["x"])
    for found, expected in zip(feats, numbers["feats"], strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(feats.queries, numbers["queries"], atol=1e-4, rtol=0)


def tiny_model_config() -> dict:
    """Configure Rein on a two-block ViT of width 32, which runs 64x64 images in milliseconds."""
    cfg = Config.fromfile(ROOT / "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py").model
    cfg.data_preprocessor.size = (64, 64)
    cfg.backbone.update(
        img_size=64, embed_dim=32, depth=2, num_heads=2, out_indices=[0, 0, 1, 1], init_cfg=None)
    cfg.backbone.reins_config.update(
        token_length=8, embed_dims=32, num_layers=2, lora_dim=4, query_dims=16)
    head = cfg.decode_head
    head.update(in_channels=[32] * 4, feat_channels=16, out_channels=16, num_queries=8)
    head.positional_encoding.num_feats = head.pixel_decoder.positional_encoding.num_feats = 8
    head.pixel_decoder.norm_cfg.num_groups = 4
    encoder, decoder = head.pixel_decoder.encoder, head.transformer_decoder
    encoder.num_layers, decoder.num_layers = 1, 2
    for layer in (encoder.layer_cfg, decoder.layer_cfg):
        for part in layer.values():
            part.embed_dims = 16
            if "num_heads" in part:
                part.num_heads = 2
            if "feedforward_channels" in part:
                part.feedforward_channels = 32
    head.train_cfg.num_points = 64
    cfg.test_cfg = dict(mode="slide", crop_size=(64, 64), stride=(43, 43))
    return cfg


def crop_small(dataloader) -> None:
    """Make a training pipeline crop 64x64 pixels, in place."""
    for step in dataloader.dataset.pipeline:
        if step.type == "RandomChoiceResize":
            step.scales = [72, 96]
        if step.type == "RandomCrop":
            step.crop_size = (64, 64)


def build(cfg):
    """Build a model from mmseg's registry."""
    with DefaultScope.overwrite_default_scope("mmseg"):
        return MODELS.build(copy.deepcopy(cfg))


@pytest.fixture
def tiny_config() -> dict:
    """Return the tiny model's config; tests may change it."""
    return tiny_model_config()


@pytest.fixture
def tiny_model(tiny_config):
    """Build the tiny model with seeded weights."""
    torch.manual_seed(0)
    return build(tiny_config)


@pytest.fixture(scope="session")
def published_config(reference) -> Config:
    """Load the published main config, resolved."""
    return Config(json.loads((reference / "published_config.json").read_text()))


def dino(img_size=64, patch_size=16, embed_dim=32, **kwargs):
    """Build a tiny DINOv2 with seeded weights."""
    from rein.models import DinoVisionTransformer

    torch.manual_seed(0)
    return DinoVisionTransformer(
        img_size=img_size, patch_size=patch_size, embed_dim=embed_dim, depth=4, num_heads=2,
        **kwargs)


def official(**kwargs):
    """Return a downloaded DINOv2 file's content: patch 14, its own grid, mask_token."""
    arguments = dict(img_size=70, patch_size=14) | kwargs
    state = dino(**arguments).state_dict()
    return {**state, "mask_token": torch.zeros(1, state["cls_token"].shape[-1])}


@pytest.fixture
def registered(monkeypatch):
    """A function that registers types for one test."""
    monkeypatch.setattr(MODELS, "_module_dict", dict(MODELS._module_dict))
    return lambda *kinds: [MODELS.register_module(module=kind) for kind in kinds]
