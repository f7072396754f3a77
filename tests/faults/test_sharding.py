"""A frozen backbone sharded over two processes: equal to one process, in half the memory."""

import pytest
import torch
from processes import in_processes
from tiny_project import evaluate, losses_of_training, write_project
from torch.distributed.tensor import DTensor

from rein import checkpoint as ckpt
from rein.engine.runner import ReinRunner

SHARDED = dict(type="ShardedBackbone")


def run(cfg, work_dir):
    kept = []
    train = ReinRunner.train
    ReinRunner.train = lambda self: (kept.append(self), train(self))[1]
    try:
        losses = losses_of_training(cfg, work_dir, "pytorch")
    finally:
        ReinRunner.train = train
    runner, = kept
    whole = sharded = 0
    for p in runner.model.module.backbone.model.blocks.parameters():
        assert isinstance(p, DTensor)
        whole += p.numel() * p.element_size()
        sharded += p.to_local().numel() * p.element_size()
    held = {p.untyped_storage().data_ptr(): p.numel()
        for g in runner.optim_wrapper.param_groups for p in g["params"] if not p.requires_grad}
    return losses, whole, sharded, len(held)


@pytest.mark.faults
def test_sharded(tmp_path):
    cfg = write_project(tmp_path)
    cfg.model.decode_head.loss_cls.class_weight = [1.0] * 20
    cfg.train_dataloader.batch_size = 2
    alone = losses_of_training(cfg, tmp_path / "one")
    cfg.train_dataloader.batch_size = 1
    cfg.visualizer.name = "ddp"
    ddp = in_processes(losses_of_training, 2, tmp_path, cfg, tmp_path / "ddp", "pytorch")
    cfg.visualizer.name = "two"
    cfg.model_wrapper_cfg = SHARDED
    both = in_processes(run, 2, tmp_path, cfg, tmp_path / "two")
    print(alone, ddp, both)
    torch.testing.assert_close(torch.tensor([b[0] for b in both]).mean(0), torch.tensor(alone),
        rtol=1e-5, atol=1e-5)
    a, b = (ckpt.load_file(tmp_path / n / "iter_4.pth") for n in ("ddp", "two"))
    print(a.keys(), b.keys(), a["meta"][ckpt.FINGERPRINT] == b["meta"][ckpt.FINGERPRINT])
    assert a["state_dict"].keys() == b["state_dict"].keys()
    print(all(torch.equal(a["state_dict"][k], b["state_dict"][k]) for k in a["state_dict"]))
