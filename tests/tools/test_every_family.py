"""Every family of backbones goes through all commands, from the publisher's file to the report."""

import json

import pytest
import torch
from commands import ROOT, run_tool
from official_files import OFFICIAL, tiny
from tiny_project import write_project

from rein.evaluation.result_files import load_run

TOOLS = ROOT / "tools"
ALWAYS = ("convnext_tiny",)
"""A staged network; test_commands.py has a plain one, DINOv2. `make faults` runs all."""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Write labelled images."""
    root = tmp_path_factory.mktemp("images")
    return root, write_project(root, images=1)


def write_family(name, images, root):
    """Write `official.pth` at a size of its own, and `config.py` for images of 64x64."""
    folder, cfg = images
    arguments, publish = OFFICIAL[name]
    at_another_size = {"img_size": 80 if "16" in name else 70} if "img_size" in arguments else {}
    backbone = tiny(name, **at_another_size)
    torch.save(publish(backbone.model.state_dict()), root / "official.pth")
    sizes = dict(img_size=64, patch_size=16) if at_another_size else {}
    cfg = cfg.copy()
    cfg.model.backbone = dict(
        type="VisionFoundationModel", model=name, **arguments | sizes,
        reins_config=dict(type="LoRAReins", token_length=8, lora_dim=2, query_dims=16),
        init_cfg=dict(type="Pretrained", checkpoint=str(root / "converted.pth")))
    width = backbone.embed_dims
    cfg.model.decode_head.in_channels = [width] * 4 if isinstance(width, int) else width
    cfg.model.test_cfg.stride = (64, 64)
    cfg.train_cfg.max_iters = 2
    cfg.dump(root / "config.py")


@pytest.mark.parametrize("name", [
    name if name in ALWAYS else pytest.param(name, marks=pytest.mark.faults) for name in OFFICIAL])
def test_a_family_goes_through_all_commands(name, images, tmp_path):
    write_family(name, images, tmp_path)

    def run(tool, *arguments):
        return run_tool(TOOLS / tool, *arguments, cwd=tmp_path)

    def test(out, *arguments):
        run("test.py", *arguments, "--out", out)
        run_of = load_run(tmp_path / out)
        confusion = {image: found.tolist() for image, found in run_of.confusion["blocks"].items()}
        return run_of.record.digest, confusion

    def merge(backbone, trained, out):
        run("generate_full_weights.py", "--backbone", backbone, "--rein_head", trained,
            "--dinov2_segmentor_path", out)

    run("convert_models/convert_backbone.py", "official.pth", "--model", "config.py")
    run("train.py", "config.py", "--work-dir", "work")
    trained = "work/iter_2.pth"
    merge("converted.pth", trained, "merged.pth")
    run("split_weights.py", "merged.pth", "--backbone", "backbone.pth", "--rein_head", "head.pth")
    merge("backbone.pth", "head.pth", "again.pth")
    first = test("out1", "config.py", trained, "--backbone", "official.pth")
    assert first == test("out2", "merged.pth", "merged.pth")
    assert first == test("out3", "again.pth", "again.pth")
    files = ["official.pth", "converted.pth", trained, "merged.pth", "backbone.pth", "head.pth"]
    done = run("inspect_checkpoint.py", *files, "--json")
    kinds = [json.loads(line)["kind"] for line in done.stdout.splitlines()]
    assert kinds == [
        "backbone as downloaded", "converted backbone", "adapter and head", "full segmentor",
        "converted backbone", "adapter and head"]
