"""Each key or type of a config that nothing reads is named before anything is built."""

import copy

import pytest
from mmengine.config import Config
from tiny_training import training_config

from rein.engine.configs.checking import check_config
from rein.engine.configs.reading import load_config
from rein.engine.training.run import train
from rein.engine.weights.loading import build_empty
from rein.errors import UserError

MAIN = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"
MISTAKES = {
    "modle=dict(x=1)": "'modle', which nothing reads. Did you mean 'model'",
    "find_unused_parameter=True": "Did you mean 'find_unused_parameters'",
    "skip_non_finite_loss=True": "Did you mean 'skip_non_finite_losses'",
    "data_folders='x'": "Did you mean 'data_folder'",
    "data_folder=3": "data_folder: expected text or None, found 3",
    "optim_wraper=dict()": "Did you mean 'optim_wrapper'",
    "compile=dict(backendd=1)": "compile has no key 'backendd'. Did you mean 'backend'",
    "randomness=dict(sed=1)": "Did you mean 'seed'",
    "env_cfg=dict(cudnn_bench=True)": "Did you mean 'cudnn_benchmark'",
    "train_dataloader=3": "train_dataloader: expected a dict with batch_size.*found 3",
    "train_dataloader.batch_size=0": "train_dataloader.batch_size: expected a number from 1 on",
    "train_dataloader.batchsize=2": "Did you mean 'batch_size'",
    "train_dataloader.dataset=3": "train_dataloader.dataset: expected a dict with a type",
    "train_dataloader.dataset.img_sufix='.png'": "UrbanSceneDataset.*mean 'img_suffix'",
    "train_dataloader.dataset.type='UrbanSceneDatset'": "Did you mean 'UrbanSceneDataset'",
    "train_dataloader.dataset.pipeline[3].crop_sise=3": r"pipeline\[3\] .RandomCrop.*'crop_size'",
    "train_dataloader.dataset.pipeline[2].max_sise=3": "RandomChoiceResize.*'max_size'",
    "train_dataloader.sampler.shufle=True": "Did you mean 'shuffle'",
    "test_evaluator.iou_metric=3": "DGIoUMetric.*Did you mean 'iou_metrics'",
    "test_evaluator.type='DGIoUMetrics'": "Did you mean 'DGIoUMetric'",
    "optim_wrapper.accumulative_count=2": "Did you mean 'accumulative_counts'",
    "optim_wrapper.optimizer.lrr=2": "AdamW.*Did you mean 'lr'",
    "optim_wrapper.optimizer.pop('weight_decay')": "sets no weight_decay",
    "optim_wrapper.paramwise_cfg.norm_decay_mul=0": "Did you mean 'norm_decay_mult'",
    "optim_wrapper.paramwise_cfg.layer_decai=0.9": "Did you mean 'layer_decay'",
    "optim_wrapper.paramwise_cfg.custom_keys.norm.decay_mul=0": "Did you mean 'decay_mult'",
    "param_scheduler[0].powr=2": "PolyLR.*Did you mean 'power'",
    "train_cfg.max_iter=2": "Did you mean 'max_iters'",
    "train_cfg.max_iters=0": "train_cfg.max_iters: expected a number from 1 on, found 0",
    "default_hooks.checkpoint.intervall=2": "CheckpointHook.*Did you mean 'interval'",
    "custom_hooks=[dict(type='EMAHook', momentun=1)]": "EMAHook.*Did you mean 'momentum'",
    "custom_hooks=[dict(type='EmaHook')]": "Did you mean 'EMAHook'",
    "model.test_cfg.strid=3": "model.test_cfg has no key 'strid'. Did you mean 'stride'",
    "model.decode_head.train_cfg.num_point=3": "Did you mean 'num_points'",
    "model.decode_head.loss_cls.loss_weigth=3": "Did you mean 'loss_weight'",
    "model.decode_head.loss_cls.type='mmdet.CrossEntropyLos'": "mean 'mmdet.CrossEntropyLoss'",
    "visualizer.vis_backends[0].type='LocalVisBackends'": "Did you mean 'LocalVisBackend'",
}


@pytest.fixture(scope="module")
def main():
    return load_config(MAIN)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_the_nearest_key_or_type(main, mistake):
    cfg = copy.deepcopy(main)
    exec(f"cfg.{mistake}", dict(cfg=cfg))
    with pytest.raises(UserError, match=MISTAKES[mistake]):
        check_config(cfg)


@pytest.mark.parametrize("mistake, message", {
    "backbone.with_cpp=True": "Did you mean 'with_cp'",
    "decode_head.num_querys=3": "Did you mean 'num_queries'",
    "decode_head.pixel_decoder.encoder.layer_cfg.ffn_cfg.ffn_dropp=0": "ffn_dropp",
    "compil=True": "compil",
    "precision='fp16'": "precision='fp16': expected 'fp32' or 'bf16'",
    "backbone.depth=12": "num_layers=24.*backbone has 12 blocks",
    "backbone.out_indices=[7, 11, 15, 24]": "out_indices.*blocks 0 to 23",
    "backbone.reins_config.query_dims=128": "queries of 128 channels.*feat_channels=256",
    "backbone.reins_config.link_token_to_query=False": "no adapter with queries",
    "decode_head.num_queries=50": "gives 100 queries.*num_queries=50",
    "decode_head.in_channels=[768] * 4": r"in_channels is \[768.*maps have \[1024",
    "decode_head.type='ReinMask2FormerHed'": "Did you mean 'ReinMask2FormerHead'",
    "decode_head.type='AdamW'": "AdamW",
}.items())
def test_a_model_that_cannot_be_built_says_why_in_one_line(main, mistake, message):
    cfg = copy.deepcopy(main)
    exec(f"cfg.model.{mistake}", dict(cfg=cfg))
    with pytest.raises(UserError, match=message) as error:
        build_empty(cfg)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_published_configs_pass_with_their_extra_keys(published_config):
    check_config(published_config)
    assert "gta_test_pipeline" in published_config and "embed_multi" in published_config
    assert "strides" in published_config.model.decode_head


def test_somas_published_adapter_passes():
    cfg = load_config("configs/soma/soma_dinov2_mask2former_512x512_bs1x4.py")
    cfg.model.backbone.lora_cfg.type = "sora"
    check_config(cfg)


def test_custom_types_pass_if_registered_and_open_ones_take_any_key(main):
    from mmengine.hooks import Hook
    from mmengine.registry import HOOKS

    @HOOKS.register_module(force=True)
    class OpenHook(Hook):
        def __init__(self, **options):
            pass

    cfg = copy.deepcopy(main)
    cfg.custom_hooks = [dict(type="OpenHook", anything=1, priority="LOW")]
    check_config(cfg)


def test_a_part_of_a_config_or_other_data_is_refused(tmp_path):
    (tmp_path / "data.json").write_text('{"a": 1}')
    for path in ("configs/_base_/datasets/gta.py", tmp_path / "data.json"):
        with pytest.raises(UserError, match="sets no model. It is a part of a config"):
            train(load_config(path), "run", str(tmp_path / "work"))


@pytest.mark.parametrize("mistake, message", {
    "train_dataloader.dataset.pipeline.pop(-1)": "first iteration",
    "train_dataloader.dataset.pipeline[3].crop_size=(0, 0)": "data loader.*assert crop_size",
    "train_dataloader.dataset.metainfo=dict(classes=3)": "dataset cannot be built",
    "optim_wrapper.optimizer.lr=-1": "optim_wrapper cannot be built",
    "default_hooks.logger=3": "hooks",
    "log_level='x'": "log_level|the config",
}.items())
def test_what_fails_at_the_start_of_a_training_gets_one_line(data, tmp_path, mistake, message):
    cfg = training_config(data)
    exec(f"cfg.{mistake}", dict(cfg=cfg))
    with pytest.raises(UserError, match=message):
        train(cfg, "run", str(tmp_path / "work"))


def test_helper_variables_pass(main):
    names = dict(crop_size=1, train_pipeline=[], gta_pipeline=[], dataloader={}, evaluator={},
                 dataset_type="a", data_root="b", num_classes=3, optimizer={}, _base={})
    check_config(Config(dict(main._cfg_dict, **names)))
