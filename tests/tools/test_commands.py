"""The README's commands run as for a user: from another folder, without installation."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import error_line, run_command, run_tool
from conftest import ROOT, build, crop_small, tiny_model_config
from doc_blocks import commands
from mmengine.config import Config
from PIL import Image

from rein import checkpoint as ckpt
from rein.evaluation.result_files import load_run

TOOLS = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "tools").rglob("*.py"))
MAIN_CONFIG = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"
MERGED = "checkpoints/dinov2_segmentor.pth"
PRETRAINED, CONVERTED = "checkpoints/dinov2_vitl14_pretrain.pth", "checkpoints/dinov2_converted.pth"
WORK_DIR = f"work_dirs/{Path(MAIN_CONFIG).stem}"
TRAINED = f"{WORK_DIR}/iter_2.pth"
PRINTED = {words[1]: words[2:] for words in commands(ROOT / "README.md") if words[0] == "python"}
"""Tool -> its arguments in the README."""


ALL_HELP = """
import contextlib, io, json, runpy, sys
stack, path, found = {"torch", "mmengine", "mmcv", "timm"}, list(sys.path), {}
for tool in sys.argv[1:]:
    before = set(sys.modules)
    sys.path[:], sys.argv = path, [tool, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        runpy.run_path(tool, run_name="__main__")
    found[tool] = out.getvalue(), sorted(stack & (sys.modules.keys() - before))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def helps(tmp_path_factory):
    """Return {tool: (--help text, heavy libraries it loaded)}, collected in one new process."""
    done = run_command(
        "-c", ALL_HELP, *(ROOT / tool for tool in TOOLS), cwd=tmp_path_factory.mktemp("help"))
    return json.loads(done.stdout)


@pytest.mark.parametrize("tool", TOOLS)
def test_help_answers_without_loading_the_stack(tool, helps):
    text, loaded = helps[str(ROOT / tool)]
    assert "usage:" in text and "python tools/" in text
    assert not loaded


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a folder laid out as in the README: tiny data, weights and config, real names."""
    root = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    frames = {
        "gta": ("images/{}.png", "labels/{}.png"),
        "bdd100k": ("images/10k/val/{}.jpg", "labels/sem_seg/masks/val/{}.png"),
    }
    for name, (image, label) in frames.items():
        for i in range(3):
            ids = np.kron(rng.integers(0, 19, (4, 6)), np.ones((20, 20))).astype(np.uint8)
            if name == "gta":
                ids = np.array([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31,
                                32, 33], np.uint8)[ids]
            for path, pixels in ((image, np.stack([ids * 7] * 3, -1)), (label, ids)):
                target = root / "data" / name / path.format(i)
                target.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(target)
    cfg = tiny_model_config().backbone
    cfg.update(type="DinoVisionTransformer", img_size=70, patch_size=14)
    cfg.pop("reins_config")
    weights = {**build(cfg).state_dict(), "mask_token": torch.zeros(1, 32)}
    ckpt.save_file(weights, root / PRETRAINED)
    write_config(root)
    return root


def write_config(root):
    """Write a user's config in place of the main one: a tiny model and small data."""
    cfg = Config.fromfile(ROOT / MAIN_CONFIG)
    cfg.model = tiny_model_config()
    cfg.model.backbone.init_cfg = dict(
        type="Pretrained", checkpoint=CONVERTED)
    cfg.train_dataloader.update(batch_size=2, num_workers=0, pin_memory=False)
    crop_small(cfg.train_dataloader)
    bdd = cfg.val_dataloader.dataset.datasets[1]
    bdd.pipeline[1].scale = (120, 80)
    loader = dict(cfg.val_dataloader, num_workers=0, dataset=bdd)
    loader.pop("persistent_workers")
    cfg.val_dataloader = cfg.test_dataloader = loader
    cfg.val_evaluator.dataset_keys = cfg.test_evaluator.dataset_keys = ["bdd"]
    cfg.train_cfg.max_iters = 2
    cfg.default_hooks.checkpoint.interval = 1
    (root / MAIN_CONFIG).parent.mkdir(parents=True)
    cfg.dump(root / MAIN_CONFIG)


def run_printed(tool, cwd):
    """Run a tool with the README's arguments."""
    return run_command(ROOT / tool, *PRINTED[tool], cwd=cwd)


@pytest.fixture(scope="module")
def trained(project):
    """Return the project after converting, training and merging with the README's commands."""
    run_printed("tools/convert_datasets/gta.py", project)
    # the README's command takes ViT-L alone
    assert PRINTED["tools/convert_models/convert_dinov2_large_512x512.py"] == [PRETRAINED]
    run_command(ROOT / "tools/convert_models/convert_dinov2.py", PRETRAINED, CONVERTED,
                "--img-size", "64", cwd=project)
    done = run_printed("tools/train.py", project)
    assert done.stdout.splitlines()[-1].endswith(TRAINED)
    assert "trainable: " in done.stdout + done.stderr
    shutil.copy(project / TRAINED, project / "checkpoints/dinov2_rein_and_head.pth")
    run_printed("tools/generate_full_weights.py", project)
    return project


def means(done):
    return re.search(r"bdd_mIoU [\d.]+, mean_mIoU [\d.]+", done.stdout.splitlines()[-1]).group()


@pytest.fixture(scope="module")
def tested(trained):
    """Test the merged file; its results are in trained / "out"."""
    return run_command(ROOT / "tools/test.py", *PRINTED["tools/test.py"], "--out", "out",
                       "--show-dir", "shown", cwd=trained)


def test_merged_file_and_adapter_with_either_backbone_give_equal_results(trained, tested):
    test, first = ROOT / "tools/test.py", tested
    adapter = [MAIN_CONFIG, TRAINED, "--out"]
    second = run_tool(test, *adapter, "out2", cwd=trained)
    third = run_tool(
        test, *adapter, "out3", "--backbone", PRETRAINED, cwd=trained)
    assert means(first) == means(second) == means(third)
    assert len({load_run(trained / out).record.digest for out in ("out", "out2", "out3")}) == 1
    for name in ("0", "1", "2"):
        maps = [np.array(Image.open(trained / out / f"predictions/bdd/{name}.png"))
                for out in ("out", "out2", "out3")]
        assert (maps[0] == maps[1]).all() and (maps[0] == maps[2]).all()
    assert (trained / "shown/bdd/0.png").is_file() and (trained / "shown/sheet.png").is_file()
    assert "| road" in (trained / "out/results.md").read_text()


def test_inspecting_tells_the_files_apart_and_splitting_undoes_merging(trained):
    files = [PRETRAINED, CONVERTED, TRAINED, MERGED]
    inspect = ROOT / "tools/inspect_checkpoint.py"
    done = run_tool(inspect, *files, "--json", cwd=trained)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["kind"] for row in rows] == [
        "backbone as downloaded", "converted backbone", "adapter and head", "full segmentor"]
    assert rows[2]["resumable"] == "yes" and rows[3]["config"] == "carried"
    assert rows[2]["trained with"] == rows[3]["trained with"] != "unknown backbone"
    run_tool(ROOT / "tools/split_weights.py", files[3], "--backbone", "split/b.pth",
             "--rein_head", "split/r.safetensors", cwd=trained)
    done = run_tool(inspect, "split/b.pth", "split/r.safetensors", "--json", cwd=trained)
    parts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [part["file digest"] for part in parts] == [
        rows[1]["file digest"], rows[2]["file digest"]]
    done = run_tool(inspect, files[0], "nowhere.pth", cwd=trained, check=False)
    assert "nowhere.pth: no such file" in error_line(done) and "ViT/14, width 32" in done.stdout


def test_test_time_augmentation_and_options_work(trained):
    done = run_tool(ROOT / "tools/test.py", MERGED, MERGED, "--tta", "--cfg-options",
                    "model.test_cfg.mode=whole", cwd=trained)
    assert means(done)


def test_resume_continues_a_run(trained, tmp_path):
    shutil.copytree(trained / WORK_DIR, trained / "work_dirs/longer")
    (trained / "work_dirs/longer/last_checkpoint").write_text("work_dirs/longer/iter_2.pth")
    done = run_tool(
        ROOT / "tools/train.py", MAIN_CONFIG, "--work-dir", "work_dirs/longer", "--resume",
        "--cfg-options", "train_cfg.max_iters=3", cwd=trained)
    assert "iter_3.pth" in done.stdout.splitlines()[-1]


@pytest.mark.faults
def test_dist_train_takes_config_and_number_of_processes(trained):
    env = {**os.environ, "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        ["bash", ROOT / "tools/dist_train.sh", MAIN_CONFIG, "2", "--work-dir", "work_dirs/two"],
        cwd=trained, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (trained / "work_dirs/two/iter_2.pth").is_file()
    for once in ("trainable: ", "Iter(train) [2/2]", "trained weights"):  # the main process alone
        assert done.stdout.count(once) == 1, done.stdout


def test_mistakes_get_one_line_and_leave_nothing(trained):
    """Try one mistake per command; other mistakes are tested where they are raised."""
    before = sorted((trained / "checkpoints").iterdir())
    for arguments, message in (
        (["train.py", "configs/rein_dinov2.py"], "no such config.*Similar: configs/"),
        (["train.py", MAIN_CONFIG, "--work-dir", "w", "--cfg-options",
          f"model.backbone.init_cfg.checkpoint={PRETRAINED}"],
         "patch size 14.*convert_dinov2.py"),
        (["test.py", MAIN_CONFIG, PRETRAINED], "backbone alone"),
        (["convert_models/convert_dinov2_large_512x512.py", PRETRAINED],
         "width 32, expected ViT-L"),
        (["convert_models/convert_dinov2_large_1024x1024.py", PRETRAINED],
         "width 32, expected ViT-L"),
    ):
        tool, *rest = arguments
        found = error_line(run_tool(ROOT / "tools" / tool, *rest, cwd=trained, check=False))
        assert re.search(message, found), (arguments, found)
    assert sorted((trained / "checkpoints").iterdir()) == before


def test_corrupt_image_is_named_and_the_others_still_count(trained, tested, tmp_path):
    shutil.copytree(trained, tmp_path / "p")
    (tmp_path / "p/data/bdd100k/images/10k/val/1.jpg").write_bytes(b"no image")
    done = run_tool(
        ROOT / "tools/test.py", MERGED, MERGED, "--out", "o", "--cfg-options",
        "test_dataloader.num_workers=1", "test_dataloader.batch_size=2", cwd=tmp_path / "p",
        check=False)
    assert done.returncode == 3, done.stderr
    last = done.stderr.splitlines()[-1]
    assert re.search("^error: 1 image could not be read.*1.jpg: the image does not decode", last)
    content = json.loads((tmp_path / "p/o/results.json").read_text())
    assert [one["image"] for one in content["images"]["failed"]] == ["1.jpg"]
    before, after = (load_run(folder).confusion["bdd"] for folder in (
        trained / "out", tmp_path / "p/o"))
    assert list(before) == ["0.jpg", "1.jpg", "2.jpg"] and list(after) == ["0.jpg", "2.jpg"]
    assert all((after[name] == before[name]).all() for name in after)


def test_both_protocols_come_from_one_run(trained):
    rules = [f"protocols={{}} protocols.{name}={{}} protocols.{name}.bdd={{}} "
             f"protocols.{name}.bdd.scale=({width},80)" for name, width in
             (("rein", 120), ("full", 90))]
    options = list(dict.fromkeys(" ".join(rules).split()))
    done = run_tool(ROOT / "tools/test.py", MERGED, MERGED, "--protocol", "rein", "full",
                    "--out", "both", "--cfg-options", *options, cwd=trained)
    assert "both/rein/results.html" in done.stdout and "both/full/results.html" in done.stdout
    records = [load_run(trained / "both" / name).record for name in ("rein", "full")]
    assert [record.sizes["bdd"] for record in records] == ["120x80", "90x80"]
    assert records[0].digest == records[1].digest
    assert records[0].config == Path(MAIN_CONFIG).stem and records[0].seed == 42
    assert (trained / "both/protocols.md").read_text().count(f"| {Path(MAIN_CONFIG).stem} |") == 2
