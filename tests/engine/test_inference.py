"""A user's own image of any size and format is segmented as in testing."""

import json

import cv2
import numpy as np
import pytest
import torch
from conftest import tiny_model_config
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image

from rein import checkpoint as ckpt
from rein.datasets.building import build_dataset
from rein.datasets.label_maps import CLASSES, PALETTE
from rein.engine.inference import init_segmentor, segment
from rein.errors import UserError
from rein.images import read_image
from rein.models.freezing import trained_state_dict


def tiny_config_file(**test_dataset) -> Config:
    """A config of the tiny model that resizes test images to fit 128x64."""
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(128, 64), keep_ratio=True),
        dict(type="LoadAnnotations"),
        dict(type="PackSegInputs"),
    ]
    dataset = dict(type="UrbanSceneDataset", domain="citys", pipeline=pipeline, **test_dataset)
    wrapped = dict(type="ConcatDataset", datasets=[dataset])
    return Config(dict(model=tiny_model_config(), test_dataloader=dict(dataset=wrapped)))


@pytest.fixture
def merged(tmp_path, tiny_model):
    """A merged checkpoint of the tiny model that carries its config."""
    torch.nn.init.normal_(tiny_model.decode_head.cls_embed.weight)  # to predict several classes
    content = dict(
        meta=dict(cfg=tiny_config_file().pretty_text), state_dict=tiny_model.state_dict())
    return ckpt.save_file(content, tmp_path / "segmentor.pth")


@pytest.fixture
def model(merged):
    return init_segmentor(merged, merged, device="cpu")


def street(height=70, width=100):
    """A seeded RGB image with structure at several scales."""
    noise = np.random.default_rng(0).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return cv2.resize(noise.astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def write(path, image):
    assert cv2.imwrite(str(path), image)
    return path


def test_a_merged_file_is_all_that_is_needed(model, tiny_model):
    assert not model.training
    assert model.cfg.model.type == "EncoderDecoder"
    assert tuple(model.dataset_meta["classes"]) == CLASSES
    assert tuple(model.dataset_meta["palette"]) == PALETTE
    saved = tiny_model.state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())


def test_adapter_and_backbone_give_the_merged_models_prediction(tmp_path, model, tiny_model):
    # JSON has no tuples, but Resize needs them
    (tmp_path / "config.json").write_text(json.dumps(tiny_config_file().to_dict()))
    ckpt.save_file(dict(state_dict=trained_state_dict(tiny_model)), tmp_path / "adapter.pth")
    ckpt.save_file(ckpt.split(tiny_model.state_dict()).backbone, tmp_path / "backbone.pth")
    parts = init_segmentor(
        tmp_path / "config.json", tmp_path / "adapter.pth", tmp_path / "backbone.pth", "cpu")
    assert np.array_equal(segment(parts, street()), segment(model, street()))


def test_the_model_has_the_classes_of_its_training(merged):
    content = ckpt.load_file(merged)
    content["meta"]["dataset_meta"] = dict(classes=("land", "water"), palette=[[1, 2, 3]] * 2)
    ckpt.save_file(content, merged)
    assert init_segmentor(merged, merged).dataset_meta["classes"] == ("land", "water")


@pytest.mark.parametrize("size", [(64, 128), (31, 57), (90, 40), (300, 200), (1, 1), (5, 90)])
def test_prediction_has_the_size_of_the_image(model, size):
    seg_map = segment(model, street(*size))
    assert seg_map.shape == size
    assert seg_map.dtype == np.uint8
    assert seg_map.max() < len(CLASSES)


def test_prediction_equals_that_of_testing(tmp_path, model):
    image = street()
    path = write(tmp_path / "street.jpg", image[..., ::-1])
    write(tmp_path / "street.png", image[..., 0] // 14)
    dataset = tiny_config_file(
        data_root=str(tmp_path), data_prefix=dict(img_path=".", seg_map_path="."),
    ).test_dataloader.dataset.datasets[0]
    with DefaultScope.overwrite_default_scope("mmseg"):
        sample = build_dataset(dataset)[0]
    with torch.no_grad():
        tested = model.test_step({key: [value] for key, value in sample.items()})[0]
    expected = tested.pred_sem_seg.data[0].numpy()
    assert len(np.unique(expected)) > 1  # else any prediction would pass
    assert np.array_equal(segment(model, path), expected)
    assert np.array_equal(segment(model, read_image(path)), expected)


def test_colour_channels_are_not_swapped(model):
    inputs = []
    model.backbone.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    segment(model, np.full((64, 64, 3), (255, 0, 0), np.uint8))
    mean = inputs[0].mean((0, 2, 3))
    assert mean[0] > 2 and (mean[1:] < -1.5).all()  # normalised red


def test_without_a_test_dataset_nothing_is_resized(model):
    sizes = []
    model.backbone.register_forward_pre_hook(
        lambda _, arguments: sizes.append(tuple(arguments[0].shape[2:])))
    model.test_cfg.mode = "whole"
    segment(model, street(32, 48))
    model.cfg.pop("test_dataloader")
    segment(model, street(32, 48))
    assert sizes == [(64, 96), (32, 48)]


def test_an_own_image_is_not_corrupted(model):
    """As with the config of Cityscapes-C; the library need not even be installed."""
    expected = segment(model, street())
    pipeline = model.cfg.test_dataloader.dataset.datasets[0].pipeline
    pipeline.insert(1, dict(type="Corrupt", corruption="fog", severity=5))
    for step in pipeline:
        step["type"] = f"mmseg.{step['type']}"
    assert np.array_equal(segment(model, street()), expected)


def test_grey_and_transparent_files_are_read_as_rgb(tmp_path):
    image = street()
    grey = write(tmp_path / "grey.png", image[..., 0])
    clear = write(tmp_path / "clear.png", np.dstack((image[..., ::-1], image[..., 0])))
    assert np.array_equal(read_image(grey), np.repeat(image[..., :1], 3, axis=2))
    assert np.array_equal(read_image(clear), image)


def test_a_photo_is_rotated_by_its_exif_orientation(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: the camera was upright
    Image.fromarray(street(70, 100)).save(tmp_path / "photo.jpg", exif=turned)
    assert read_image(tmp_path / "photo.jpg").shape == (100, 70, 3)


@pytest.mark.parametrize("name, content, message", [
    ("missing.png", None, "missing.png: no such image"),
    ("empty.png", b"", "empty.png: the image does not decode"),
    ("text.jpg", b"no image at all", "text.jpg: the image does not decode"),
    ("cut.png", "half", "cut.png: the image does not decode"),
])
def test_a_file_that_is_not_an_image_is_named_in_one_line(tmp_path, model, name, content, message):
    path = tmp_path / name
    if content == "half":
        whole = cv2.imencode(".png", street())[1].tobytes()
        content = whole[:len(whole) // 2]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        segment(model, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("array", [
    np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3)),
    np.zeros((0, 8, 3), np.uint8),
])
def test_arrays_of_another_shape_or_type_are_rejected(model, array):
    with pytest.raises(UserError, match="expected RGB, uint8"):
        segment(model, array)


def test_a_missing_checkpoint_is_named(tmp_path, merged):
    with pytest.raises(UserError, match="nothing.pth: no such file"):
        init_segmentor(merged, tmp_path / "nothing.pth")
