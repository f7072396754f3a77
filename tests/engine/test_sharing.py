"""A segmentor goes to the Hub and back unchanged, with a card of its own results."""

import dataclasses
import re

import numpy as np
import pytest
import torch
import yaml
from commands import ROOT, error_line, run_tool
from conftest import build, tiny_model_config
from fake_hub import hub_session
from huggingface_hub import constants
from mmengine.config import Config
from some_results import RECORD, some_images, table_of

import rein
from rein import checkpoint as ckpt
from rein.datasets.label_maps import CLASSES
from rein.engine.sharing import build_folder, push
from rein.errors import UserError
from rein.evaluation.model_card import ModelFacts, model_card
from rein.evaluation.result_files import save_results
from rein.models.freezing import trained_state_dict

TOOL = ROOT / "tools/push.py"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_session(monkeypatch, tmp_path) as hub:
        yield hub


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A merged segmentor beside reports on it and on another model."""
    folder = tmp_path_factory.mktemp("work")
    torch.manual_seed(0)
    network = build(tiny_model_config())
    torch.nn.init.normal_(network.decode_head.cls_embed.weight)  # predicts several classes
    cfg = Config(dict(model=tiny_model_config(), train_dataloader=dict(
        dataset=dict(data_root="/home/me/data/gta"))))
    meta = dict(cfg=cfg.pretty_text, iter=40, seed=7, calibration=dict(temperature=1.5))
    ckpt.save_file(dict(meta=meta, state_dict=network.state_dict()), folder / "m.pth")
    ckpt.save_file(dict(meta=meta, state_dict=trained_state_dict(network)), folder / "part.pth")
    images = some_images()
    record = dataclasses.replace(RECORD, digest=ckpt.digest(network.state_dict()))
    save_results(folder / "test/rein", table_of(images), images, record)
    save_results(folder / "test/other", table_of(images), images, RECORD)
    return folder / "m.pth"


def test_what_is_pushed_loads_again_and_predicts_the_same(hub, model_file):
    shared = run_tool(TOOL, model_file, "me/toy", "--private").stdout
    assert shared.splitlines()[-1] == (
        f'shared as {hub.url}/me/toy: rein.load_segmentor("hf:me/toy")')
    assert set(hub.repos["me/toy"]) == {"model.safetensors", "README.md"}
    assert hub.private == {"me/toy"}
    image = np.random.default_rng(0).integers(0, 256, (70, 100, 3), np.uint8)
    found, expected = (rein.load_segmentor(source, precision="fp32").predict(image)
                       for source in ("hf:me/toy", model_file))
    assert len(np.unique(expected.seg_map)) > 1
    assert np.array_equal(found.seg_map, expected.seg_map)
    assert np.array_equal(found.confidence, expected.confidence)
    push(model_file, "me/toy")  # once more: an update


def test_the_card_tells_results_training_and_use(tmp_path, model_file):
    runs = build_folder(model_file, "me/toy", tmp_path)
    assert [run.folder.name for run in runs] == ["rein"]  # the other tested another model
    _, header, text = (tmp_path / "README.md").read_text().split("---\n", 2)
    header = yaml.safe_load(header)
    assert header["library_name"] == "rein" and header["pipeline_tag"] == "image-segmentation"
    assert header["datasets"] == ["gta"] and "license" not in header
    city, night = header["model-index"][0]["results"]
    assert (city["dataset"]["type"], night["dataset"]["name"]) == ("cityscapes", "ACDC night")
    results = runs[0].results()
    assert city["metrics"][0]["value"] == round(results.miou[0], 2)
    assert city["metrics"][0]["name"] == "mIoU in percent, protocol rein"
    assert f"| ACDC night | 960x540 | {results.miou[1]:.2f} |" in text
    for fact in ("Protocol `rein`", "- iterations: 40", "- seed: 7", runs[0].record.digest[:12],
                 "trained on GTA V", "- training data: GTA V", "temperature 1.500",
                 ", ".join(CLASSES), "code: Apache-2.0", "- backbone: unknown"):
        assert fact in text, fact
    assert RECORD.checkpoint not in text  # a path of this machine
    code, = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert code.count("\n") == 5 and 'rein.load_segmentor("hf:me/toy")' in code


def test_street_scenes_are_named_for_cityscapes_classes_alone():
    facts = ModelFacts("0" * 64, "cracks", "ViT", "", "", CLASSES, ("cracks",))
    claim = "of street scenes in domains unseen in training, trained on cracks: 19 classes."
    assert f"Semantic segmentation {claim}" in model_card("me/toy", facts, [])
    own = model_card("me/toy", dataclasses.replace(facts, classes=("rest", "crack")), [])
    assert "Semantic segmentation, trained on cracks: 2 classes." in own and "street s" not in own


@pytest.mark.parametrize("backbone, licence", [
    (dict(type="DinoVisionTransformer", embed_dim=1024, depth=24, num_heads=16),
     "apache-2.0"),
    (dict(type="VisionFoundationModel", model="vit_small_patch16_dinov3.lvd1689m"),
     "dinov3-license")])
def test_the_backbones_licence_is_that_of_its_released_weights(backbone, licence):
    from rein.engine.sharing import _licence

    with torch.device("meta"):
        network = build(backbone)
    identity = ckpt.identify({name: value for name, value in network.state_dict().items()})
    assert _licence(network, identity.backbone)[0] == licence


def test_what_cannot_be_shared_says_what_to_run(tmp_path, model_file):
    out = tmp_path / "out"
    part = model_file.with_name("part.pth")
    line = error_line(run_tool(TOOL, part, "me/toy", "--dry-run", "--out", out, check=False))
    assert "has no backbone (adapter and head). Merge it first: `python tools/generate" in line
    with pytest.raises(UserError, match="expected OWNER/NAME"):
        build_folder(model_file, "toy", out)
    with pytest.raises(UserError, match="results of other weights \\(0123456789ab; the model is"):
        build_folder(model_file, "me/toy", out, [model_file.parent / "test/other/results.json"])
    content = ckpt.load_file(model_file)
    del content["meta"]["cfg"]
    ckpt.save_file(content, tmp_path / "bare.pth")
    with pytest.raises(UserError, match="carries no config"):
        build_folder(tmp_path / "bare.pth", "me/toy", out)
    assert not out.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="^[^\n]*file[^\n]*cannot be written"):
        build_folder(model_file, "me/toy", tmp_path / "file")


def test_a_failed_login_a_foreign_owner_and_no_network_are_one_line_each(
        hub, model_file, monkeypatch):
    def line(repo="me/new", **environment):
        return error_line(run_tool(TOOL, model_file, repo, check=False, **environment))

    assert "you/toy: me may not write there. Choose a repository me/NAME" in line("you/toy")
    assert "does not know the token" in line(HF_TOKEN="hf_wrong")
    assert "nobody is logged in to " in line(HF_TOKEN="")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in line()
    assert "me/new" not in hub.repos
