"""A mistake in a config ends training or testing in one line, also where building finds it."""

import copy
import re

import pytest
from faults.file_faults import in_child
from tiny_project import write_project

from rein.cli import run_cli
from rein.engine.configs.checking import check_config
from rein.engine.testing.evaluate import evaluate_checkpoint
from rein.engine.testing.options import EvaluationOptions
from rein.engine.training.run import train

TRAINING = {
    "default_hooks.checkpoint.save_best='mIuO'": "Cannot infer the rule for key mIuO",
    "default_hooks.checkpoint.update(save_best='mIuO', rule='greater')":
        "save_best: validation gives no 'mIuO', but .*mIoU.*. Name one of them",
    "default_hooks.checkpoint.update(save_best='mIoU', rule='biggest')": "rule must be greater",
    "default_hooks.logger.interval=-1": "interval must be greater than 0",
    "custom_hooks=[dict(type='EMAHook', momentum=2)]": "momentum must be in range",
    "custom_hooks=[dict(type='EMAHook', begin_iter=-1)]": "begin_iter",
    "custom_hooks=[dict(type='AdamW')]": "AdamW is not in the mmseg::hook registry",
    "env_cfg=dict(mp_cfg=dict(mp_start_method='frok'))": "cannot find context for 'frok'",
    "log_processor.update(custom_cfg=[dict(data_src='x')])": "log_processor.*window_size",
    "log_processor.update(num_digits=-1)": "Format specifier",
    "visualizer.vis_backends=[dict(type='WandbVisBackend')]": "pip install wandb",
    "param_scheduler[0].end=0": "learning rate of param_scheduler.0 .PolyLR. is 0 from 0 on",
    "param_scheduler[0].update(begin=10, end=5)": "end should be larger than begin",
    "param_scheduler[0].by_epoch=True": "Set by_epoch=False",
    "param_scheduler=[dict(type='MultiStepLR', by_epoch=False)]": "'milestones'",
    "optim_wrapper=None": "train_cfg, and optim_wrapper should be either all None or not None",
    "optim_wrapper.pop('optimizer')": "must contain \"optimizer\"",
    "optim_wrapper.optimizer.lr=-1": "Invalid learning rate: -1",
    "optim_wrapper.optimizer.weight_decay=-1": "Invalid weight_decay value: -1",
    "optim_wrapper.clip_grad=dict(type='norm')": "`clip_grad` should contain other arguments",
    "optim_wrapper.constructor='PEFTOptimWraperConstructor'": "PEFTOptimWraperConstructor is not",
    "val_evaluator=None": "val_cfg, and val_evaluator should be either all None or not None",
    "val_evaluator.iou_metrics=['mIuO']": "iou_metrics is .'mIuO'.; only .'mIoU'.",
    "model.data_preprocessor=None": "training fails in its first iteration",
    "model.data_preprocessor.mean=[1, 2]": "`mean` should have 1 or 3 values",
    "load_from='nowhere.pth'": "nowhere.pth: no such file",
    "default_scope='mmsg'": "visualizer cannot be built",
    "compile=dict(backend='egaer')": "Invalid backend: 'egaer'",
    "auto_scale_lr=dict(enable=True)": "Lack of `base_batch_size`",
}
TESTING = {
    "test_evaluator=None": "sets no test_evaluator",
    "test_evaluator.iou_metrics=['mIuO']": "only .'mIoU'.",
    "test_dataloader=None": "sets no test_dataloader",
    "test_dataloader.dataset.pipeline=[]": "testing fails in its first iteration",
    "test_dataloader.dataset.data_root='nowhere'": "nowhere/images: no such folder",
    "test_dataloader.dataset.img_suffix=3": "the data loader cannot be built",
    "test_dataloader.num_workers='a'": "num_workers='a': expected a number",
    "model.data_preprocessor.std=[1, 1]": "`std` should have 1 or 3 values",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder and the config of a training of two iterations, with validation at the end."""
    root = tmp_path_factory.mktemp("project")
    cfg = write_project(root, images=2)
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=2, val_interval=2)
    cfg.val_dataloader = copy.deepcopy(cfg.test_dataloader)
    cfg.val_evaluator, cfg.val_cfg = dict(type="DGIoUMetric"), dict(type="ValLoop")
    cfg.test_cfg = dict(type="TestLoop")
    check_config(cfg)  # its imports spare time in each child
    return root, cfg


def check_one_line(project, mistake, message, task):
    """Make a mistake, run a task in a forked process, and compare its only line of error."""
    root, cfg = project
    cfg = copy.deepcopy(cfg)
    exec(f"cfg.{mistake}", dict(cfg=cfg))
    ended = in_child(lambda: run_cli(lambda: task(root, cfg) and None), kill_after=300)
    line = ended.err.strip().splitlines()[-1]
    assert ended.code == 1 and "Traceback" not in ended.err, ended
    assert line.startswith("error: ") and len(line) < 600 and re.search(message, line), line


@pytest.mark.faults
@pytest.mark.parametrize("mistake", TRAINING)
def test_a_mistake_ends_training_in_one_line(project, mistake):
    check_one_line(project, mistake, TRAINING[mistake], lambda root, cfg: train(
        cfg, "run", str(root / "work"), force=True))


@pytest.mark.faults
@pytest.mark.parametrize("mistake", TESTING)
def test_a_mistake_ends_testing_in_one_line(project, mistake):
    check_one_line(project, mistake, TESTING[mistake], lambda root, cfg: evaluate_checkpoint(
        cfg, str(root / "checkpoint.pth"),
        EvaluationOptions(out=str(root / "out"), work_dir=str(root / "work"), force=True)))
