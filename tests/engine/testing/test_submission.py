"""An unlabelled test set becomes a zip that the server would accept."""

import io
import zipfile

import numpy as np
import pytest
from conftest import build, tiny_model_config
from mmengine.config import Config
from PIL import Image

from rein import checkpoint as ckpt
from rein.engine.configs.reading import load_config
from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.submission import make_predictions
from rein.errors import UserError
from rein.evaluation import submission
from rein.evaluation.submission import SERVERS

ACDC = "configs/dinov2_citys2acdc/rein_dinov2_mask2former_512x512_bs1x4.py"
SIZE = (96, 54)


@pytest.fixture
def acdc(tmp_path, monkeypatch):
    """One ACDC test image per condition, and server rules adapted to that number."""
    rng = np.random.default_rng(0)
    for i, condition in enumerate(("night", "fog", "rain", "snow")):
        path = tmp_path / f"acdc/rgb_anon/{condition}/test/GOPR{i}"
        path.mkdir(parents=True)
        pixels = rng.integers(0, 256, (*SIZE[::-1], 3), np.uint8)
        Image.fromarray(pixels).save(path / f"GOPR{i}_frame_000001_rgb_anon.png")
    monkeypatch.setitem(
        submission.SERVERS, "acdc", SERVERS["acdc"]._replace(images=4, size=SIZE))
    return tmp_path


def config(root) -> Config:
    cfg = load_config(ACDC)
    cfg.model = tiny_model_config()
    cfg.test_dataloader.update(num_workers=0)
    for dataset in cfg.test_dataloader.dataset.datasets:
        dataset.data_root = str(root / "acdc")
    cfg.protocols = dict(full={dataset.domain: dict(scale=(64, 64))
                              for dataset in cfg.test_dataloader.dataset.datasets})
    return cfg


def test_test_images_become_a_valid_zip_for_the_server(acdc):
    ckpt.save_file(dict(state_dict=build(tiny_model_config()).state_dict()), acdc / "m.pth")
    options = EvaluationOptions(work_dir=str(acdc / "w"), protocols=["full"])
    done = make_predictions(config(acdc), str(acdc / "m.pth"), "acdc", options)
    assert done.problems == [] and done.path == acdc / "w/acdc.zip"
    with zipfile.ZipFile(done.path) as archive:
        assert sorted(archive.namelist()) == [
            f"labelTrainIds/GOPR{i}_frame_000001_rgb_anon.png" for i in range(4)]
        first = archive.read("labelTrainIds/GOPR0_frame_000001_rgb_anon.png")
    packed = np.asarray(Image.open(io.BytesIO(first)))
    predicted = np.asarray(Image.open(
        acdc / "w/acdc_predictions/acdc_night/GOPR0/GOPR0_frame_000001_rgb_anon.png"))  # the tree
    assert packed.shape == SIZE[::-1] and (packed == predicted).all()
    with pytest.raises(UserError, match="acdc.zip: exists.*--force"):
        make_predictions(config(acdc), str(acdc / "m.pth"), "acdc", options)
