"""Pictures show what the network saw: the corrupted image of Cityscapes-C, not the clean file."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from PIL import Image
from scenes import EVAL_PIPELINE, scenes, write_pair

from rein.datasets import corruptions
from rein.evaluation.domain_iou import DGIoUMetric
from rein.evaluation.pictures import PredictionPictures
from rein.evaluation.seen_images import seen_image

CORRUPT = dict(type="Corrupt", corruption="fog", severity=1)
VIEWS = [dict(type="TestTimeAug", transforms=[
    [dict(type="Resize", scale=size) for size in ((16, 8), (64, 32))],
    [dict(type="RandomFlip", prob=prob) for prob in (1.0, 0.0)],
    [dict(type="LoadAnnotations")], [dict(type="PackSegInputs")]])]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return a function that loads a batch of two dark scenes, which corruption makes light red."""
    def load_batch(*steps):
        return pseudo_collate(list(scenes(tmp_path, pipeline=[EVAL_PIPELINE[0], *steps])))

    init_default_scope("mmseg")
    monkeypatch.setattr(
        corruptions, "corrupt",
        lambda image, *_: np.full_like(image, 200) + np.array([20, 0, 0], np.uint8))
    for name in "ab":
        write_pair(tmp_path, name)
    return load_batch


def predicted(batch):
    """Return the samples of a batch with a prediction at the size of the label."""
    for sample in batch["data_samples"]:
        sample.pred_sem_seg = PixelData(data=torch.zeros_like(sample.gt_sem_seg.data))
    return batch["data_samples"]


def test_pictures_and_strips_show_the_corrupted_image(load, tmp_path):
    batch = load(CORRUPT, *EVAL_PIPELINE[1:])
    samples = predicted(batch)
    dataset = SimpleNamespace(metainfo=dict(palette=[[1, 2, 3]] * 19))
    hook = PredictionPictures(str(tmp_path / "out"))
    hook.after_test_iter(
        SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset)), 0, batch, samples)
    metric = DGIoUMetric(examples=1)
    metric.dataset_meta = dict(classes=["road"] * 19, palette=dataset.metainfo["palette"])
    metric.process(batch, [sample.to_dict() for sample in samples])
    for picture in tmp_path.glob("out/citys/*.png"):
        assert np.asarray(Image.open(picture))[8, 16].tolist() == [220, 200, 200]
    for image in metric.results:
        strip = np.asarray(Image.open(io.BytesIO(image.strip)))
        assert np.abs(strip[90, 200].astype(int) - (220, 200, 200)).max() < 5


def test_the_largest_upright_view_is_shown(load):
    batch = load(CORRUPT, *VIEWS)
    image = seen_image(batch["data_samples"][0][1].metainfo, batch, 1)
    assert image.shape == (32, 64, 3) and image[0, 0].tolist() == [220, 200, 200]
    first = batch["data_samples"][2][1]
    assert first.flip and first.img_shape == (32, 64)  # a flipped view comes before


def test_an_unchanged_image_is_read_from_its_file(load):
    batch = load(*EVAL_PIPELINE[1:])
    assert seen_image(batch["data_samples"][0].metainfo, batch, 0) is None
