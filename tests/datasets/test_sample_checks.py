"""Errors of unusable samples name the file and the fix in one line."""

import errno

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image
from scenes import AUGMENTED_PIPELINE, EVAL_PIPELINE, cityscapes_cfg, scenes, write, write_pair
from torch.utils.data import DataLoader

from rein.datasets.domain_stamps import stamp_domains
from rein.datasets.sample_checks import CorruptFile, SampleError
from rein.errors import UserError

TRAIN_PIPELINE = [
    dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"),
    dict(type="RandomChoiceResize", scales=[16, 24], resize_type="ResizeShortestEdge",
         max_size=64),
    dict(type="RandomCrop", crop_size=(16, 16), cat_max_ratio=0.75), dict(type="PackSegInputs")]


@pytest.fixture(autouse=True)
def mmseg_scope():
    init_default_scope("mmseg")


@pytest.mark.parametrize("content", [b"", b"no picture", None])
@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("folder", ["images", "labels"])
def test_file_that_does_not_decode_is_named(tmp_path, content, ours, folder):
    write_pair(tmp_path, "broken", size=(64, 64))
    path = tmp_path / folder / "broken.png"
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    data = scenes(tmp_path) if ours else DATASETS.build(cityscapes_cfg(tmp_path))
    stamp_domains(data)
    with pytest.raises(SampleError, match=rf"{folder}/broken\.png: the .* does not decode"):
        data[0]


def test_label_inside_test_time_augmentation_is_also_checked(tmp_path):
    write_pair(tmp_path, "broken")
    path = tmp_path / "labels/broken.png"
    path.write_bytes(path.read_bytes()[:-30])
    data = scenes(tmp_path, pipeline=AUGMENTED_PIPELINE)
    with pytest.raises(SampleError, match=r"labels/broken\.png: the label does not decode"):
        data[0]


def test_image_too_thin_to_be_resized_is_named(tmp_path):
    write_pair(tmp_path, "thin", size=(1, 2000))
    with pytest.raises(CorruptFile, match=r"images/thin\.png: the image is 2000x1") as error:
        scenes(tmp_path)[0]
    assert error.value.domain == "citys" and error.value.path.endswith("thin.png")


@pytest.mark.parametrize("ours", [True, False])
def test_label_values_that_are_not_train_ids_are_named(tmp_path, ours):
    write_pair(tmp_path / "cityscapes", "a")
    label = np.zeros((16, 32))
    label[0, :3] = 33, 26, 255
    write(tmp_path / "cityscapes/labels/a.png", label)
    root = tmp_path / "cityscapes"
    data = scenes(root) if ours else DATASETS.build(cityscapes_cfg(root))
    stamp_domains(data)
    with pytest.raises(SampleError, match=r"a\.png: label values 26, 33, but 0-18.*cityscapes\.py"):
        data[0]


@pytest.mark.parametrize("pipeline", [EVAL_PIPELINE, AUGMENTED_PIPELINE, TRAIN_PIPELINE])
@pytest.mark.parametrize("ours", [True, False])
def test_a_label_of_another_size_is_refused_in_training_and_testing(tmp_path, pipeline, ours):
    write_pair(tmp_path, "a", size=(16, 32))
    write(tmp_path / "labels/a.png", np.zeros((8, 16)))
    cfg = cityscapes_cfg(tmp_path) | dict(pipeline=pipeline)
    data = scenes(tmp_path, pipeline=pipeline) if ours else DATASETS.build(cfg)
    stamp_domains(data)
    with pytest.raises(SampleError, match=r"a\.png: the label is 16x8, but .*a\.png is 32x16"):
        data[0]


@pytest.mark.parametrize("pipeline", [EVAL_PIPELINE, TRAIN_PIPELINE])
def test_a_label_of_a_photo_that_exif_turns_must_be_turned_too(tmp_path, pipeline):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    write_pair(tmp_path, "a", suffixes=(".jpg", ".png"), size=(16, 32))
    Image.new("RGB", (32, 16)).save(tmp_path / "images/a.jpg", exif=exif)
    data = scenes(tmp_path, img_suffix=".jpg", pipeline=pipeline)
    with pytest.raises(SampleError, match=r"the label is 32x16, but .*a\.jpg is 16x32, turned"):
        data[0]
    write(tmp_path / "labels/a.png", np.zeros((32, 16)))
    assert data[0]["data_samples"].ori_shape == (32, 16)


def test_a_step_that_fails_on_an_intact_file_does_not_blame_the_file(tmp_path):
    write_pair(tmp_path, "a")
    steps = [EVAL_PIPELINE[0], dict(type="LoadAnnotations", reduce_zero_label=True)]
    with pytest.raises(CorruptFile, match="decodes, but LoadExactLabels.*reduce_zero_label is Fal"):
        scenes(tmp_path, pipeline=steps)[0]


def test_a_file_that_may_not_be_read_is_not_called_broken(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(errno.EIO, "Input/output error")

    write_pair(tmp_path, "a")
    data = scenes(tmp_path)
    monkeypatch.setattr("mmengine.fileio.get", fail)
    with pytest.raises(CorruptFile, match=r"the image cannot be read \(Input/output error\)"):
        data[0]


def test_errors_in_loader_workers_stay_on_one_line(tmp_path):
    write_pair(tmp_path, "a", label=77)
    loader = DataLoader(scenes(tmp_path), num_workers=1, collate_fn=pseudo_collate)
    batches = iter(loader)
    with pytest.raises(UserError) as error:
        next(batches)
    batches._shutdown_workers()  # leaving it to the garbage collector takes 5 s
    assert str(error.value).startswith(str(tmp_path)) and "\n" not in str(error.value)
