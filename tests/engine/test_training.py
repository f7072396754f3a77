"""Training from a config: what it saves, and that it resumes to what would have been."""

import functools
import itertools
import json
import shutil

import numpy as np
import pytest
import torch
from conftest import build, crop_small, tiny_model_config
from label_files import write_pairs
from mmengine.config import Config
from torch.utils.data import ConcatDataset

from rein import checkpoint as ckpt
from rein.engine.runner import ReinRunner
from rein.engine.seeding import SeededSampler
from rein.engine.training import train
from rein.errors import UserError

RUNS = itertools.count()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six images of coloured blocks with labels, and frozen weights for the tiny model."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(6):
        label = np.kron(rng.integers(0, 19, (4, 5)), np.ones((24, 24))).astype(np.uint8)
        label[:8] = 255
        pairs.append((np.stack([label * 13] * 3, -1), label))
    write_pairs(root, pairs, "_labelTrainIds.png")
    backbone = ckpt.split(build(tiny_model_config()).state_dict()).backbone
    ckpt.save_file(backbone, root / "backbone.pth")
    return root


def config(data, max_iters=4, workers=0):
    cfg = Config.fromfile("configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py")
    cfg.model = tiny_model_config()
    cfg.model.backbone.init_cfg = dict(type="Pretrained", checkpoint=str(data / "backbone.pth"))
    loader = cfg.train_dataloader
    loader.update(batch_size=2, num_workers=workers, pin_memory=False)
    loader.dataset.data_root = str(data)
    crop_small(loader)
    for key in ("val_dataloader", "val_cfg", "val_evaluator"):
        cfg.pop(key)
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters)
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=-1)
    cfg.log_processor = dict(by_epoch=False, window_size=1)
    cfg.visualizer.name = f"run {next(RUNS)}"  # mmengine keeps one visualizer per name
    return cfg


def losses(work_dir):
    """Return {iteration: loss} of the last run in a work dir."""
    scalars = sorted(work_dir.glob("*/vis_data/scalars.json"))[-1].read_text().splitlines()
    return {line["step"]: line["loss"] for line in map(json.loads, scalars) if "loss" in line}


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp("finished")
    last = train(config(data, workers=1), "run", str(work_dir))
    assert last.endswith("iter_4.pth")
    return work_dir


def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(data, finished, tmp_path):
    """Even with another number of loading processes."""
    shutil.copy(finished / "iter_2.pth", tmp_path / "iter_2.pth")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_2.pth"))
    train(config(data, workers=0), "run", str(tmp_path), resume="auto")
    expected = losses(finished)
    assert losses(tmp_path) == {step: expected[step] for step in (3, 4)}
    weights = ckpt.load_file(tmp_path / "iter_4.pth")["state_dict"]
    for name, value in ckpt.load_file(finished / "iter_4.pth")["state_dict"].items():
        assert torch.equal(weights[name], value)


def test_a_checkpoint_holds_what_was_trained_and_the_config(finished):
    content = ckpt.load_file(finished / "iter_4.pth")
    assert all(name.startswith(("backbone.reins.", "decode_head.")) for name in
               content["state_dict"])
    assert "ReinsDinoVisionTransformer" in content["meta"]["cfg"]
    assert not list(finished.glob(".*"))


def test_a_checkpoint_knows_its_backbone(data, finished, tmp_path):
    frozen = ckpt.load_file(data / "backbone.pth")
    meta = ckpt.load_file(finished / "iter_4.pth")["meta"]
    assert meta[ckpt.FINGERPRINT] == ckpt.fingerprint(frozen)
    other = {**frozen, "norm.bias": frozen["norm.bias"] + 1}
    ckpt.save_file(other, tmp_path / "other.pth")
    cfg = config(data)
    cfg.model.backbone.init_cfg.checkpoint = str(tmp_path / "other.pth")
    again = cfg.to_dict()
    resumed = str(finished / "iter_2.pth")
    with pytest.raises(UserError, match="trained with another frozen backbone.*--allow-other"):
        train(cfg, "run", str(tmp_path / "work"), resume=resumed)
    work_dir = tmp_path / "allowed"
    train(Config(again), "run", str(work_dir), resume=resumed, allow_other_backbone=True)
    (log,) = work_dir.glob("*/*.log")
    assert "WARNING" in log.read_text() and "--allow-other-backbone was given" in log.read_text()


def test_the_trainable_share_is_printed_at_the_start(finished):
    (log,) = finished.glob("*/*.log")
    assert "trainable: " in log.read_text() and " %)" in log.read_text()


def test_the_backbone_is_left_as_it_was(data, finished):
    """The frozen weights are neither trained nor decayed: merged, they are the file's."""
    model = build(tiny_model_config())
    frozen = ckpt.load_file(data / "backbone.pth")
    model.backbone.load_pretrained(frozen, "backbone.pth")
    trained = ckpt.load_file(finished / "iter_4.pth")["state_dict"]
    assert not trained.keys() & {f"backbone.{name}" for name in frozen}


@pytest.mark.parametrize("change, message", [
    (lambda c: c.pop("optimizer"), "cannot be resumed from, because it holds no optimizer"),
    (lambda c: c["state_dict"].pop("decode_head.cls_embed.bias"), "1 missing: decode_head.cls_"),
])
def test_wrong_checkpoints_are_refused(data, finished, tmp_path, change, message):
    content = ckpt.load_file(finished / "iter_2.pth")
    change(content)
    path = ckpt.save_file(content, tmp_path / "wrong.pth")
    with pytest.raises(UserError, match=message):
        train(config(data), "run", str(tmp_path / "work"), resume=str(path))


def test_code_in_a_checkpoints_meta_is_not_run(data, finished, tmp_path):
    """Resuming in mmengine would run `meta.config` as Python."""
    content = ckpt.load_file(finished / "iter_4.pth")
    content["meta"]["config"] = f"open({str(tmp_path / 'executed')!r}, 'w')"
    path = ckpt.save_file(content, tmp_path / "bad.pth")
    train(config(data), "run", str(tmp_path / "work"), resume=str(path))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("change, message", [
    (lambda c, d: c.train_dataloader.dataset.update(data_root=str(d / "nowhere")), "no such fold"),
    (lambda c, d: c.model.backbone.init_cfg.update(checkpoint=str(d / "nowhere.pth")), "no such f"),
])
def test_missing_data_and_weights_are_named(data, tmp_path, change, message):
    cfg = config(data)
    change(cfg, tmp_path)
    with pytest.raises(UserError, match=f"nowhere.*{message}"):
        train(cfg, "run", str(tmp_path / "work"))


def test_positions_go_on_after_a_skip_and_interleave_over_processes():
    items = iter(SeededSampler(range(5), shuffle=True, seed=3))
    whole = [next(items) for _ in range(12)]
    skipped = SeededSampler(range(5), shuffle=True, seed=3)
    skipped.skip(7)
    rest = iter(skipped)
    assert [next(rest) for _ in range(5)] == whole[7:]
    assert [position for _, position in whole] == list(range(12))


def union(*sizes):
    return ConcatDataset([range(size) for size in sizes])


def test_weights_say_how_often_each_part_of_a_union_is_drawn():
    sampler = iter(SeededSampler(union(100, 10, 30), weights=[1, 1, 2], seed=3))
    drawn = np.array([next(sampler)[0] for _ in range(8000)])
    parts = np.searchsorted([100, 110], drawn, side="right")
    assert np.bincount(parts) / 8000 == pytest.approx([0.25, 0.25, 0.5], abs=0.02)
    for part, images in ((0, range(100)), (1, range(100, 110)), (2, range(110, 140))):
        whole = drawn[parts == part]
        once = whole[:len(images)]
        assert sorted(once) == list(images)  # a part is gone through before it starts anew
        assert (once != whole[len(images):2 * len(images)]).any()  # in another order


def test_a_weighted_stream_goes_on_after_a_skip_as_if_uninterrupted(monkeypatch):
    """And several processes share one stream."""
    make = functools.partial(SeededSampler, union(7, 5), weights=[1, 3], seed=3)
    items = iter(make())
    whole = [next(items) for _ in range(3000)]
    skipped = make()
    skipped.skip(2500)
    rest = iter(skipped)
    assert [next(rest) for _ in range(500)] == whole[2500:]
    monkeypatch.setattr("mmengine.dataset.sampler.get_dist_info", lambda: (1, 2))
    second = iter(make())
    assert [next(second) for _ in range(1500)] == whole[1::2]


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(UserError, match="one for each of the 2 datasets"):
        SeededSampler(union(7, 5), weights=weights, seed=3)


def test_weights_in_a_config_reach_the_loader(data):
    loader = config(data).train_dataloader
    part = loader.dataset
    loader.dataset = dict(type="ConcatDataset", datasets=[part, dict(part, domain="other")])
    loader.sampler.weights = [1, 0]
    loader = ReinRunner.build_dataloader(loader, seed=42)
    batches = itertools.islice(loader, 4)
    assert {one.domain for batch in batches for one in batch["data_samples"]} == {"gta"}
