"""A value of a wrong kind or out of range is named before anything is built."""

import copy

import pytest

from rein.engine.configs.checking import check_config
from rein.engine.configs.kinds import check_kinds
from rein.engine.configs.reading import load_config
from rein.errors import UserError

SLIDE = "model.test_cfg=dict(mode='slide', crop_size={}, stride={})"
MISTAKES = {
    "default_hooks=3": "default_hooks: expected a dict or None, found 3",
    "default_hooks.timer=3": "default_hooks.timer: expected a dict, found 3",
    "default_hooks.checkpoint.interval='a'": "checkpoint.interval: expected a whole number from 1",
    "default_hooks.checkpoint.interval=0": "or -1 to save only the last checkpoint, found 0",
    "default_hooks.checkpoint.max_keep_ckpts=None": "max_keep_ckpts .*: expected a number",
    "default_hooks.checkpont=dict(type='CheckpointHook')": "Did you mean 'checkpoint'",
    "default_hooks.checkpoint.pop('type')": "default_hooks.checkpoint: has no type",
    "default_hooks.logger.interval='a'": "interval .LoggerHook.: expected a number, found 'a'",
    "custom_hooks=dict(type='EMAHook')": "custom_hooks: expected a list or None",
    "custom_hooks=['EMAHook']": r"custom_hooks\[0\]: expected a dict, found 'EMAHook'",
    "custom_hooks=[dict(momentum=.1)]": r"custom_hooks\[0\]: has no type",
    "custom_hooks=[dict(type='EMAHook', momentum='a')]": "momentum .EMAHook.: expected a number",
    "custom_hooks=[dict(type='EMAHook', priority='HIHG')]": "one of HIGHEST, .* found 'HIHG'",
    "env_cfg=None": "env_cfg: expected a dict, found None",
    "env_cfg.mp_cfg=3": "env_cfg.mp_cfg: expected a dict, found 3",
    "env_cfg.mp_cfg.mp_start_metod='fork'": "Did you mean 'mp_start_method'",
    "env_cfg.dist_cfg.backnd='gloo'": "Did you mean 'backend'",
    "env_cfg.cudnn_benchmark='yes'": "expected True or False or None, found 'yes'",
    "env_cfg.resource_limit='a'": "resource_limit: expected a number",
    "log_processor=3": "log_processor: expected a dict or None",
    "log_processor.by_epoc=False": "Did you mean 'by_epoch'",
    "log_processor.window_size=0": "window_size: expected a whole number from 1 on, found 0",
    "log_processor.custom_cfg=3": "custom_cfg .* expected a dict or a list or None",
    "visualizer=3": "visualizer: expected a dict or None",
    "visualizer.pop('type')": "visualizer: has no type",
    "visualizer.alpha='a'": "alpha .SegLocalVisualizer.: expected a number",
    "visualizer.name=3": "name .SegLocalVisualizer.: expected text",
    "visualizer.vis_backends=dict(type='LocalVisBackend')": "vis_backends: expected a list",
    "visualizer.vis_backends=[3]": r"vis_backends\[0\]: expected a dict",
    "visualizer.vis_backends=[dict()]": r"vis_backends\[0\]: has no type",
    "randomness=3": "randomness: expected a dict, found 3",
    "randomness.seed='a'": "seed: expected a whole number from 0 to 2..32 - 1, found 'a'",
    "randomness.seed=-1": "found -1",
    "randomness.seed=1.5": "found 1.5",
    "randomness.deterministic='yes'": "deterministic: expected True or False",
    "param_scheduler=3": "param_scheduler: expected a dict or a list or None",
    "param_scheduler=[3]": r"param_scheduler\[0\]: expected a dict",
    "param_scheduler=[dict(power=.9)]": r"param_scheduler\[0\]: has no type",
    "param_scheduler[0].power='a'": "power .PolyLR.: expected a number",
    "param_scheduler[0].begin=-1": "begin: expected a whole number from 0 on, found -1",
    "optim_wrapper=3": "optim_wrapper: expected a dict or None",
    "optim_wrapper.optimizer=None": "optim_wrapper.optimizer: expected a dict, found None",
    "optim_wrapper.optimizer.pop('type')": "optim_wrapper.optimizer: has no type",
    "optim_wrapper.optimizer.lr=None": "lr .AdamW.: expected a number, found None",
    "optim_wrapper.optimizer.betas=3": "betas .AdamW.",
    "optim_wrapper.clip_grad=3": "clip_grad: expected a dict or None",
    "optim_wrapper.clip_grad=dict(max_norms=1)": "Did you mean 'max_norm'",
    "optim_wrapper.clip_grad=dict(max_norm=-1)": "max_norm: expected a number above 0, found -1",
    "optim_wrapper.clip_grad=dict(type='norms', max_norm=1)": "expected 'norm' or 'value'",
    "optim_wrapper.accumulative_counts=1.5": "accumulative_counts: expected a whole number",
    "optim_wrapper.paramwise_cfg=3": "paramwise_cfg: expected a dict or None",
    "optim_wrapper.paramwise_cfg.custom_keys=3": "custom_keys: expected a dict",
    "optim_wrapper.paramwise_cfg.custom_keys.norm=3": r"custom_keys\['norm'\]: expected a dict",
    "optim_wrapper.paramwise_cfg.custom_keys.norm.lr_mult=-1": r"\['norm'\].lr_mult: .* from 0 on",
    "optim_wrapper.paramwise_cfg.norm_decay_mult='a'": "norm_decay_mult: expected a number",
    "val_evaluator=3": "val_evaluator: expected a dict or a list or None",
    "test_evaluator=[3]": r"test_evaluator\[0\]: expected a dict",
    "test_evaluator=dict()": "test_evaluator: has no type",
    "test_evaluator.ignore_index='a'": "ignore_index .DGIoUMetric.: expected a number",
    "val_cfg=3": "val_cfg: expected a dict or None",
    "train_cfg=3": "train_cfg: expected a dict or None",
    "train_cfg.val_begin='a'": "val_begin .IterBasedTrainLoop.: expected a number",
    "model=3": "model: expected a dict, found 3",
    "model.test_cfg=3": "model.test_cfg: expected a dict or None",
    "model.test_cfg.mode='slid'": "mode: expected 'slide' or 'whole', found 'slid'",
    "model.test_cfg.window_batch=0": "window_batch: expected a whole number from 1 on",
    SLIDE.format(3, (2, 2)): "crop_size: expected two whole numbers from 1 on, .height, width.",
    SLIDE.format((8, 8), (0, 0)): "stride: expected two whole numbers from 1 on",
    SLIDE.format((8, 8), (9, 8)): r"stride: expected at most the crop_size, \(8, 8\)",
    "model.data_preprocessor=3": "model.data_preprocessor: expected a dict or None",
    "model.data_preprocessor.pop('type')": "model.data_preprocessor: has no type",
    "model.data_preprocessor.mean='a'": "mean .SegDataPreProcessor.: expected a dict or a list",
    "model.data_preprocessor.std=[1, 0, 1]": r"std: expected numbers above 0, found \[1, 0, 1\]",
    "model.data_preprocessor.size=(-64, 64)": "size: expected two whole numbers from 1 on",
    "model.data_preprocessor.pad_val='a'": "pad_val .SegDataPreProcessor.: expected a number",
    "model.data_preprocessor.bgr_to_rgb='no'": "bgr_to_rgb .* expected True or False, found 'no'",
    "resume='yes'": "resume: expected True or False",
    "compile='yes'": "compile: expected True or False or a dict",
    "skip_non_finite_losses='no'": "skip_non_finite_losses: expected True or False",
    "load_from=3": "load_from: expected text",
    "auto_scale_lr=3": "auto_scale_lr: expected a dict",
    "auto_scale_lr=dict(base_batchsize=3)": "Did you mean 'base_batch_size'",
    "custom_imports=3": "custom_imports: expected a dict",
}


@pytest.fixture(scope="module")
def main():
    cfg = load_config("configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py")
    cfg.train_dataloader = cfg.val_dataloader = cfg.test_dataloader = None  # tested elsewhere
    check_config(cfg)
    return cfg


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_kind_or_number_is_named_with_what_is_expected(main, mistake):
    cfg = copy.deepcopy(main)
    exec(f"cfg.{mistake}", dict(cfg=cfg))
    with pytest.raises(UserError, match=MISTAKES[mistake]) as error:
        check_config(cfg)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [
    "optim_wrapper.clip_grad=dict(type='norm', max_norm=1)",
    "optim_wrapper.clip_grad=dict(type='value', clip_value=0.5)",
    "param_scheduler=dict(type='ConstantLR', factor=1, by_epoch=False)",
    "default_hooks.checkpoint=None", "default_hooks.mine=dict(type='EMAHook', priority=49)",
    "default_hooks.checkpoint.interval=-1", "randomness.seed=None", "visualizer=None",
    "test_evaluator=[dict(type='DGIoUMetric')]", "model.data_preprocessor.std=None",
    "model.test_cfg=dict(mode='slide')", SLIDE.format([8, 8], [8, 5])])
def test_what_works_passes(main, change):
    cfg = copy.deepcopy(main)
    exec(f"cfg.{change}", dict(cfg=cfg))
    check_config(cfg)


def test_objects_in_place_of_settings_pass():
    check_kinds(dict(custom_hooks=[object()], visualizer=object(), model=dict(type=object)))
