"""The examples of docs/confidence.md run as they are printed."""

import numpy as np
from conftest import ROOT
from doc_blocks import blocks, example_files
from mmengine.config import Config
from tiny_testing import scenes_config, write_scenes, write_weights

from rein import checkpoint as ckpt
from rein.evaluation.shift import learn_statistics

PAGE = ROOT / "docs/confidence.md"


def test_the_config_names_held_out_images_in_the_test_pipeline(tmp_path):
    (name, text), = example_files(PAGE).items()
    (tmp_path / name).write_text(text.replace('"configs', f'"{ROOT}/configs'))
    dataset = Config.fromfile(tmp_path / name).calibration_dataloader.dataset
    assert dataset.data_root == "data/gta_held_out/" and dataset.domain == "gta"
    assert [step.type for step in dataset.pipeline][:2] == ["LoadImageFromFile", "Resize"]


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    write_scenes(tmp_path / "data", images=1)
    write_weights(tmp_path / "m.pth")
    # far from every image, as all training images were alike
    statistics = learn_statistics(np.ones((3, 32), np.float32))
    ckpt.save_file(dict(ckpt.load_file(tmp_path / "m.pth"), meta=dict(
        cfg=scenes_config(tmp_path / "data").pretty_text, calibration=dict(temperature=2.0),
        feature_statistics=statistics.to_meta())), tmp_path / "dinov2_segmentor.pth")
    (tmp_path / "data/images/ulm/0.png").rename(tmp_path / "street.jpg")
    monkeypatch.chdir(tmp_path)
    for text in blocks(PAGE, "python"):
        if "import rein" in text:
            exec(text, {})
    assert (tmp_path / "unsure.png").exists()
    assert "unlike the training images" in capsys.readouterr().out
