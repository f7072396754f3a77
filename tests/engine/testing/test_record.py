"""The record of a test: config name, versions and training curves."""

from mmengine.config import Config

from rein.engine.configs.reading import load_config
from rein.engine.testing.record import (
    config_name,
    describe_weights,
    recipe_of,
    training_curves,
    versions,
)

TOY = "configs/toy/rein_toy_vit_mask2former_256x256.py"


def test_a_carried_config_is_named_after_its_run():
    meta = dict(experiment_name="rein_tiny_20260102_030405")
    assert config_name(Config(dict(a=1)), meta) == "rein_tiny"
    assert config_name(load_config(TOY), meta) == "rein_toy_vit_mask2former_256x256"
    assert config_name(Config(dict(a=1)), {}) == "carried by the checkpoint"


def test_curves_are_read_only_from_the_run_that_saved_the_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run, stamp, loss in (("mine", "20260101_000000", 1), ("mine", "20260102_000000", 2),
                             ("mine", "20260103_000000", 3), ("other", "20260102_000001", 9)):
        folder = tmp_path / run / stamp / "vis_data"
        folder.mkdir(parents=True)
        (folder / "scalars.json").write_text(f'{{"loss": {loss}, "step": {loss}}}\n')
    meta = dict(experiment_name="tiny_20260102_000000", cfg="work_dir = 'mine'")
    assert training_curves(dict(meta=meta), "mine/iter_2.pth") == {"loss": [(1, 1.0), (2, 2.0)]}
    assert training_curves(dict(meta=meta), "merged.pth") == {"loss": [(1, 1.0), (2, 2.0)]}
    assert training_curves(dict(meta={}), "mine/iter_2.pth") == {}
    assert training_curves({}, "published.pth") == {}


def test_the_record_counts_the_backbones_trained_parameters(tiny_model):
    expected = sum(p.numel() for p in tiny_model.backbone.reins.parameters())
    record = describe_weights(tiny_model, {}, "a.pth", Config(dict(model=dict(type="A"))))
    assert record.trainable == expected > 0


def test_versions_name_every_library_of_the_stack():
    assert {"rein", "python", "torch", "timm", "mmengine", "mmcv", "mmseg", "mmdet"} <= {
        name for name, version in versions().items() if version not in ("", "unknown")}


def test_a_carried_config_with_types_unknown_here_does_not_stop_a_test_with_a_given_one(tmp_path):
    meta = dict(experiment_name="tiny_20260102_000000",
                cfg="custom_hooks = [dict(type='HookOfTheAuthors')]")
    assert training_curves(dict(meta=meta), str(tmp_path / "iter_2.pth")) == {}


def test_the_recipe_tells_trainings_apart_and_joins_seeds(tmp_path):
    def recipe(iteration=600, **options):
        cfg = load_config(TOY)
        cfg.merge_from_dict(options)
        content = dict(meta=dict(cfg=cfg.pretty_text, iter=iteration))
        return recipe_of(content, "iter.pth")

    first = recipe()
    assert len(first) == 8
    for key, value in (("randomness.seed", 3), ("work_dir", "other"),
                       ("train_dataloader.dataset.data_root", "/data/gta"),
                       ("train_dataloader.num_workers", 2), ("model.test_cfg.mode", "whole"),
                       ("model.backbone.init_cfg.checkpoint", "/w/toy_vit_converted.pth")):
        assert recipe(**{key: value}) == first, key
    resumed = dict(load_from="x/iter_300.pth", resume=True)
    assert recipe(**resumed) == recipe(**resumed, started_from=None) == first
    assert recipe(**resumed, started_from="w/a.pth") == recipe(load_from="a.pth") != first
    for key, value in (("optim_wrapper.optimizer.lr", 1e-4), ("load_from", "pretrained.pth"),
                       ("train_cfg.max_iters", 700),
                       ("model.backbone.reins_config.token_length", 50),
                       ("model.backbone.init_cfg.checkpoint", "other.pth")):
        assert recipe(**{key: value}) != first, key
    eva = [recipe(**{"model.backbone.pretrained": path}) for path in ("a/x.pth", "x.pth", "y.pth")]
    assert eva[0] == eva[1] != eva[2]
    assert recipe(iteration=300) != first
    assert recipe_of({}, "published.pth") == ""
