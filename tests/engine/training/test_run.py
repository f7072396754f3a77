"""Training from a config resumes exactly, and names missing files."""

import shutil

import pytest
import torch
from conftest import build, tiny_model_config
from tiny_training import losses, training_config

from rein import checkpoint as ckpt
from rein.engine.training.run import train
from rein.engine.weights.loading import load_for_testing
from rein.errors import UserError


def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(data, finished, tmp_path):
    """The number of workers may differ."""
    shutil.copy(finished / "iter_2.pth", tmp_path / "iter_2.pth")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_2.pth"))
    train(training_config(data, workers=0), "run", str(tmp_path), resume="auto")
    expected = losses(finished)
    assert losses(tmp_path) == {step: expected[step] for step in (3, 4)}
    weights = ckpt.load_file(tmp_path / "iter_4.pth")["state_dict"]
    for name, value in ckpt.load_file(finished / "iter_4.pth")["state_dict"].items():
        assert torch.equal(weights[name], value)


def test_resuming_without_a_path_goes_on_where_the_run_is(data, finished, tmp_path, monkeypatch):
    """Like other inputs, a run is found in the repository from any folder."""
    run = tmp_path / "repository/work_dirs/run"
    run.mkdir(parents=True)
    shutil.copy(finished / "iter_4.pth", run / "iter_4.pth")
    (run / "last_checkpoint").write_text(str(run / "iter_4.pth"))
    cfg = training_config(data, max_iters=5)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr("rein.paths.REPOSITORY", tmp_path / "repository")
    assert train(cfg, "run", resume="auto") == str(run / "iter_5.pth")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_backbone_is_left_unchanged(data, finished):
    """Frozen weights are neither trained nor decayed: merging gives the pretrained values."""
    model = build(tiny_model_config())
    frozen = ckpt.load_file(data / "backbone.pth")
    model.backbone.load_pretrained(frozen, "backbone.pth")
    trained = ckpt.load_file(finished / "iter_4.pth")["state_dict"]
    assert not trained.keys() & {f"backbone.{name}" for name in frozen}


@pytest.mark.parametrize("change, message", [
    (lambda c, d: c.train_dataloader.dataset.update(data_root=str(d / "nowhere")), "no such fold"),
    (lambda c, d: c.model.backbone.init_cfg.update(checkpoint=str(d / "nowhere.pth")), "no such f"),
])
def test_missing_data_and_weights_are_named(data, tmp_path, change, message):
    cfg = training_config(data)
    change(cfg, tmp_path)
    with pytest.raises(UserError, match=f"nowhere.*{message}"):
        train(cfg, "run", str(tmp_path / "work"))


def test_an_adapter_of_peft_trains_resumes_and_loads_like_others(data, tmp_path):
    pytest.importorskip("peft", reason="needs the extra `peft`")

    def config(max_iters):
        cfg = training_config(data, max_iters)
        cfg.model.backbone.reins_config = dict(type="Peft", config=dict(
            peft_type="LORA", r=2, use_dora=True, lora_dropout=0.1, target_modules=["qkv"]))
        cfg.model.decode_head.update(linked_queries=False, replace_query_feat=False)
        return cfg

    train(config(4), "run", str(tmp_path / "whole"))
    train(config(2), "run", str(tmp_path / "parts"))
    train(config(4), "run", str(tmp_path / "parts"), resume="auto")
    whole, parts = (ckpt.load_file(tmp_path / name / "iter_4.pth") for name in ("whole", "parts"))
    assert all(torch.equal(parts["state_dict"][n], v) for n, v in whole["state_dict"].items())
    own = {n for n in whole["state_dict"] if n.startswith("backbone.")}
    assert own and all(n.startswith("backbone.reins.blocks.") for n in own)
    model = build(config(4).model)
    load_for_testing(model, whole, "iter_4.pth", data / "backbone.pth")
    assert own <= model.state_dict().keys()
