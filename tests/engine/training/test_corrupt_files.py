"""A test continues past corrupt files and names them."""

import copy
import shutil

import cv2
import numpy as np
import pytest
from mmseg.structures import SegDataSample
from PIL import Image
from tiny_training import training_config

from rein.datasets.sample_checks import CorruptFile
from rein.engine.training.corrupt_files import FailedSample, SurvivingDataset, collate_surviving
from rein.engine.training.run import train


class _Files:
    metainfo = dict(classes=("a", "b"))

    def __len__(self):
        return 2

    def __getitem__(self, index):
        if index == 1:
            raise CorruptFile("b.png: does not decode.", "citys", "b.png")
        return dict(inputs=index, data_samples=SegDataSample())


def test_failed_samples_are_separated_from_the_batch(monkeypatch):
    monkeypatch.setattr("rein.engine.training.corrupt_files.build_dataset", lambda cfg: _Files())
    dataset = SurvivingDataset({})
    assert len(dataset) == 2 and dataset.metainfo is _Files.metainfo
    failed = FailedSample("citys", "b.png", "b.png: does not decode.")
    batch = collate_surviving([dataset[0], dataset[1]])
    assert batch["inputs"] == [0] and len(batch["data_samples"]) == 1
    assert batch["failed"] == {1: failed}
    assert collate_surviving([dataset[1]]) == dict(failed={0: failed})


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_truncated_files_fail_even_if_decoders_accept_them(tmp_path, kind):
    for part in ("image", "label"):
        (tmp_path / part).mkdir()
    rng = np.random.default_rng(0)
    for i in range(3):
        pixels = rng.integers(0, 256, (40, 60, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"image/{i}.{kind}")
        Image.fromarray(pixels[..., 0] % 19).save(tmp_path / f"label/{i}.png")
    for path in (f"image/1.{kind}", "label/2.png"):
        content = (tmp_path / path).read_bytes()
        (tmp_path / path).write_bytes(content[:len(content) * 2 // 3])
    image = (tmp_path / f"image/0.{kind}").read_bytes()
    (tmp_path / f"image/0.{kind}").write_bytes(image + b"appended by a camera")
    dataset = SurvivingDataset(dict(
        type="UrbanSceneDataset", domain="yard", data_root=str(tmp_path), img_suffix=f".{kind}",
        seg_map_suffix=".png", data_prefix=dict(img_path="image", seg_map_path="label"),
        pipeline=[dict(type="LoadImageFromFile"), dict(type="mmseg.LoadAnnotations"),
                  dict(type="mmseg.PackSegInputs")]))
    assert kind == "png" or cv2.imread(str(tmp_path / "image/1.jpg")) is not None
    assert not isinstance(dataset[0], FailedSample)
    for i, path in ((1, f"image/1.{kind}"), (2, "label/2.png")):
        assert dataset[i].domain == "yard" and dataset[i].path.endswith(f"image/{i}.{kind}")
        assert path in dataset[i].error


@pytest.mark.parametrize("metric", ["DGIoUMetric", "IoUMetric"])
def test_validation_goes_on_past_a_corrupt_image_and_names_it(data, tmp_path, metric):
    shutil.copytree(data, tmp_path / "data")
    cfg = training_config(tmp_path / "data", max_iters=2)
    images = sorted((tmp_path / "data").rglob("*.png"))
    image = next(path for path in images if "_labelTrainIds" not in path.name)
    set_validation(cfg, metric)
    image.write_bytes(image.read_bytes()[:60])
    cfg.train_dataloader.dataset.data_root = str(data)  # training data is whole
    assert train(cfg, "run", str(tmp_path / "w")).endswith("iter_2.pth")
    log = next((tmp_path / "w").glob("*/*.log")).read_text()
    assert f"{image}: the image does not decode" in log and "mIoU" in log


def set_validation(cfg, metric):
    """Validate on the training images after each second iteration."""
    dataset = dict(copy.deepcopy(cfg.train_dataloader.dataset), pipeline=[
        dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")])
    cfg.val_dataloader = dict(batch_size=1, num_workers=0, dataset=dataset, sampler=dict(
        type="DefaultSampler", shuffle=False))
    cfg.val_cfg = dict(type="ValLoop")
    cfg.val_evaluator = dict(type=metric)
    cfg.train_cfg.val_interval = 2


def test_errors_of_workers_stay_on_one_line():
    text = 'Caught CorruptFile in worker.\nTraceback: ...\nrein.CorruptFile: x.png: no such file.'
    assert str(CorruptFile(text)) == "x.png: no such file."
