"""The linear probe: it learns on the source and names missing data."""

import numpy as np
import pytest
import torch
from PIL import Image

from rein.errors import UserError
from toy.pretraining.probe import probe, vit_features
from toy.pretraining.student import build_encoder


def write_world(root):
    """Pictures whose left half is road and right half is sky, in each folder."""
    labels = np.repeat(np.uint8([[0] * 32 + [10] * 32]), 32, 0)
    picture = np.where(labels[..., None] == 0, np.uint8([90, 90, 90]), np.uint8([60, 120, 250]))
    for image, label in (
            ("gta/images/1.png", "gta/labels/1_labelTrainIds.png"),
            ("cityscapes/leftImg8bit/val/a/a_leftImg8bit.png",
             "cityscapes/gtFine/val/a/a_gtFine_labelTrainIds.png")):
        for name, content in ((image, picture), (label, labels)):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(root / name)


@pytest.mark.faults
def test_a_classifier_of_colours_learns(tmp_path):
    write_world(tmp_path)
    scores = probe(lambda x: torch.nn.functional.avg_pool2d(x, 4), tmp_path, ["citys"], steps=200)
    assert list(scores) == ["source", "citys"]
    assert min(scores.values()) > 90


def test_missing_pictures_are_named(tmp_path):
    with pytest.raises(UserError, match="no converted source pictures .*quickstart.py --data"):
        probe(lambda x: x, tmp_path)


def test_features_of_four_blocks_are_read_every_four_pixels():
    features = vit_features(build_encoder().state_dict())
    with torch.no_grad():
        assert features(torch.zeros(1, 3, 256, 512)).shape == (1, 4 * 192, 64, 128)
