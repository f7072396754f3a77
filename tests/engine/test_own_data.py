"""Own classes: the worked examples train and test; class counts that differ are rejected."""

import itertools

import numpy as np
import pytest
from conftest import ROOT, build, crop_small, tiny_model_config
from mmengine.config import Config
from PIL import Image

from rein import checkpoint as ckpt
from rein.engine.testing.evaluate import evaluate_checkpoint
from rein.engine.testing.options import EvaluationOptions
from rein.engine.training.run import train
from rein.errors import UserError
from rein.evaluation.result_files import load_run

RUNS = itertools.count()
FOLDER = ROOT / "configs/own_data"
EXAMPLES = {"field": [0, 1, 2, 255], "cracks": [0, 255]}
"""Worked example -> label values in its files."""


def make_data(root, values):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for folder, suffix in (("images", "jpg"), ("labels", "png")):
            (root / folder / split).mkdir(parents=True)
            for i in range(2):
                pixels = np.kron(rng.choice(values, (4, 5)), np.ones((24, 24))).astype(np.uint8)
                Image.fromarray(pixels).save(root / folder / split / f"{i}.{suffix}")


def small(name, tmp_path):
    """A worked example with tiny data and the tiny model, and its own classes."""
    cfg = Config.fromfile(FOLDER / f"rein_dinov2_mask2former_{name}_512x512.py")
    head = cfg.model.decode_head
    make_data(tmp_path / "data", EXAMPLES[name])
    model = tiny_model_config()
    model.decode_head.num_classes = head.num_classes
    model.decode_head.loss_cls.class_weight = head.loss_cls.class_weight
    frozen = ckpt.split(build(model).state_dict()).backbone
    ckpt.save_file(frozen, tmp_path / "backbone.pth")
    model.backbone.init_cfg = dict(
        type="Pretrained", checkpoint=str(tmp_path / "backbone.pth"))
    cfg.model = model
    cfg.train_dataloader.update(batch_size=2, num_workers=0, pin_memory=False)
    cfg.test_dataloader.num_workers = 0
    for loader in (cfg.train_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(tmp_path / "data")
    crop_small(cfg.train_dataloader)
    cfg.test_dataloader.dataset.pipeline[1].scale = (96, 64)
    for key in ("val_dataloader", "val_cfg", "val_evaluator"):
        cfg.pop(key)
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=1)
    cfg.visualizer.name = f"own data {next(RUNS)}"  # mmengine keeps one visualizer per name
    return cfg


@pytest.mark.parametrize("name", EXAMPLES)
def test_worked_example_trains_and_tests_on_its_own_classes(name, tmp_path):
    cfg = small(name, tmp_path)
    num_classes = len(cfg.classes)
    checkpoint = train(cfg, name, str(tmp_path / "work"))
    weights = ckpt.load_file(checkpoint)["state_dict"]
    assert weights["decode_head.cls_embed.weight"].shape[0] == num_classes + 1  # + "no object"
    tested = evaluate_checkpoint(
        cfg, checkpoint, EvaluationOptions(work_dir=str(tmp_path / "test")))
    assert 0 <= tested[0].metrics[f"{name}_mIoU"] <= 100


def test_an_int8_test_says_so_and_records_the_unquantized_weights(tmp_path):
    cfg = small("cracks", tmp_path)
    weights = build(cfg.model).state_dict()
    merged = ckpt.save_file(dict(state_dict=weights), tmp_path / "merged.pth")
    tested = evaluate_checkpoint(
        cfg, str(merged), EvaluationOptions(work_dir=str(tmp_path / "test"), int8=True))
    assert tested[0].folder == tmp_path / "test/int8"
    record = load_run(tested[0].folder).record
    assert record.inference == "slide, crop 64x64, stride 43x43; frozen backbone in int8"
    assert record.digest == ckpt.digest(weights)


def test_head_follows_the_class_list(tmp_path):
    text = (FOLDER / "rein_dinov2_mask2former_field_512x512.py").read_text()
    text = text.replace('["soil", "crop", "weed"]', '["a", "b", "c", "d", "e"]')
    (tmp_path / "own.py").write_text(text.replace('"../_base_', f'"{ROOT}/configs/_base_'))
    cfg = Config.fromfile(tmp_path / "own.py")
    head = cfg.model.decode_head
    assert head.num_classes == 5 and head.loss_cls.class_weight == [1.0] * 5 + [0.1]
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.metainfo.classes == ["a", "b", "c", "d", "e"]


def test_a_head_with_another_number_of_classes_is_rejected_before_building(tmp_path):
    cfg = small("field", tmp_path)
    cfg.train_dataloader.dataset.metainfo.classes = ["soil", "crop"]
    with pytest.raises(UserError, match="has 2 classes, but model.decode_head.num_classes is 3"):
        train(cfg, "own", str(tmp_path / "work"))
