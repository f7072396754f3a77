"""Runs whose frozen backbone is sharded over two processes."""

import numpy as np
import pytest
import torch
from PIL import Image
from processes import in_processes
from tiny_networks import NETWORKS
from tiny_project import SUFFIX, block_pairs, evaluate, losses_of_training, write_project
from tiny_sharding import compare_backbones

from rein import checkpoint as ckpt
from rein.engine.training.run import train

pytestmark = pytest.mark.faults
SHARDED = dict(type="ShardedBackbone")


def same(path, other):
    """Compare two checkpoints: names, weights, optimizer and the backbone's fingerprint.

    Where gradients are nearly 0, as for the biases of keys, Adam scales their rounding up to steps
    of 1e-4, of which there are four; its averages show that the gradients are equal.
    """
    found, expected = ckpt.load_file(path), ckpt.load_file(other)
    assert found["meta"][ckpt.FINGERPRINT] == expected["meta"][ckpt.FINGERPRINT]
    for part, atol in (("state_dict", 4e-4), ("optimizer", 1e-6)):
        torch.testing.assert_close(found[part], expected[part], rtol=1e-4, atol=atol)


def test_losses_and_checkpoints_equal_those_of_one_process_and_of_replicas(tmp_path):
    cfg = write_project(tmp_path)
    cfg.model.decode_head.loss_cls.class_weight = [1.0] * 20  # they differ by process
    cfg.train_dataloader.batch_size = 2
    alone = losses_of_training(cfg, tmp_path / "one")
    cfg.train_dataloader.batch_size = 1
    cfg.visualizer.name = "replicated"
    in_processes(losses_of_training, 2, tmp_path, cfg, tmp_path / "replicated", "pytorch")
    cfg.visualizer.name = "sharded"
    cfg.model_wrapper_cfg = SHARDED
    both = in_processes(losses_of_training, 2, tmp_path, cfg, tmp_path / "sharded", "pytorch")
    torch.testing.assert_close(
        torch.tensor(both).mean(0), torch.tensor(alone), rtol=1e-5, atol=1e-5)
    same(tmp_path / "sharded/iter_4.pth", tmp_path / "replicated/iter_4.pth")


def test_a_sharded_run_validates_and_resumes(tmp_path):
    cfg = write_project(tmp_path)
    cfg.model.backbone.frozen_dtype = "bf16"
    cfg.model_wrapper_cfg = SHARDED
    cfg.val_dataloader, cfg.val_evaluator = cfg.test_dataloader, cfg.test_evaluator
    cfg.val_cfg = dict(type="ValLoop")
    cfg.train_cfg.val_interval = 2
    cfg.visualizer.name = "whole run"
    in_processes(train, 2, tmp_path, cfg, "run", str(tmp_path / "run"), None, False, "pytorch")
    cfg.visualizer.name = "resumed run"
    in_processes(train, 2, tmp_path, cfg, "run", str(tmp_path / "resumed"),
                 str(tmp_path / "run/iter_2.pth"), False, "pytorch")
    same(tmp_path / "resumed/iter_4.pth", tmp_path / "run/iter_4.pth")


def test_a_sharded_test_equals_one_process_with_unequal_numbers_of_windows(tmp_path):
    """One process reads broken images only; the other has many windows."""
    cfg = write_project(tmp_path, images=4)
    image, label = block_pairs(1)[0]
    Image.fromarray(np.tile(image, (2, 2, 1))).save(tmp_path / "images/1.png")
    Image.fromarray(np.tile(label, (2, 2))).save(tmp_path / f"labels/1{SUFFIX}")
    for number in (0, 2):
        (tmp_path / f"images/{number}.png").write_bytes(b"no image")
    cfg.model.test_cfg.window_batch = 1
    cfg.visualizer.name = "alone"
    alone = evaluate(cfg, tmp_path, "alone")
    cfg.visualizer.name = "sharded"
    cfg.model_wrapper_cfg = SHARDED
    for metrics in in_processes(evaluate, 2, tmp_path, cfg, tmp_path, "sharded", "pytorch"):
        assert metrics == alone


def test_every_network_and_adapter_computes_the_same_when_sharded(tmp_path):
    low_rank = [dict(type=name, rank=2) for name in ("LoRA", "DoRA", "SoMA")]
    prompts = [dict(type="VPT", num_tokens=3, deep=deep) for deep in (False, True)]
    tuned = [dict(type="AdaptFormer", hidden_dims=4), dict(type="BitFit"), dict(type="NormTuning")]
    cases = [(name, {}) for name in NETWORKS]
    cases += [("mae", dict(reins_config=one)) for one in (*low_rank, *prompts, *tuned)]
    cases += [("mae", dict(reins_config=dict(type="Combined", adapters=[low_rank[0], tuned[0]])))]
    cases += [("dinov3", dict(with_cp=True, frozen_dtype=dtype)) for dtype in ("fp32", "bf16")]
    for shares in in_processes(compare_backbones, 2, tmp_path, *cases):
        assert max(shares) < 0.6  # rows of small weights do not always split evenly
