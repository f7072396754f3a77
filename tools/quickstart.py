"""The main job on the toy street world, with the same commands as on the real data.

    python tools/quickstart.py

Makes raw datasets, converts them and the toy weights, trains Rein on toy GTA, merges, and tests on
toy Cityscapes, BDD100K, Mapillary and ACDC night. Takes some minutes on two CPU cores.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "configs/toy/rein_toy_vit_mask2former_256x256.py"
DATA = "data/toy"
WEIGHTS = "checkpoints/toy_vit_pretrain.pth"


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", default=DATA, metavar="DIR", help="the toy world; default: %(default)s")
    parser.add_argument(
        "--work-dir", default="work_dirs/quickstart", metavar="DIR",
        help="everything else; default: %(default)s")
    parser.add_argument(
        "--streets", nargs="*", default=[], metavar="ARGUMENT",
        help="arguments of tools/make_toy_streets.py without their dashes, e.g. gta=40")
    parser.add_argument("--iters", type=int, help="training iterations; default: the config's")
    return parser.parse_args()


def steps(args: argparse.Namespace) -> list[tuple[str, list[str]]]:
    """List (title, command) of everything that runs, in order."""
    data, work = args.data, args.work_dir
    train, out = f"{work}/train", f"{work}/test"
    streets = [f"--{argument}" for argument in args.streets]
    training = [f"train_dataloader.dataset.data_root={data}/gta", *target_roots("val", data)]
    testing = target_roots("test", data)
    if data == DATA:  # where the config has it
        training, testing = [], []
    if args.iters:
        training.append(f"train_cfg.max_iters={args.iters}")
    convert, labels = "tools/convert_datasets", f"{data}/mapillary/cityscapes_trainIdLabel"
    return [
        ("make toy streets", ["tools/make_toy_streets.py", data, *streets]),
        ("convert GTA", [f"{convert}/gta.py", f"{data}/gta"]),
        ("convert Cityscapes", [f"{convert}/cityscapes.py", f"{data}/cityscapes"]),
        ("convert Mapillary", [
            f"{convert}/mapillary2cityscape.py", f"{data}/mapillary", labels, "--train_id"]),
        ("halve Mapillary", [
            f"{convert}/mapillary_resize.py", f"{data}/mapillary/validation/images",
            f"{labels}/val/label", f"{data}/mapillary/half/val_img",
            f"{data}/mapillary/half/val_label"]),
        ("convert the backbone", [
            "tools/convert_models/convert_dinov2.py", WEIGHTS,
            "checkpoints/toy_vit_converted.pth", "--img-size", "256", "--force"]),
        ("train Rein", [
            "tools/train.py", CONFIG, "--work-dir", train, *cfg_options(training)]),
        ("merge", [
            "tools/generate_full_weights.py", "--dinov2_segmentor_path",
            f"{work}/toy_segmentor.pth", "--backbone", WEIGHTS, "--rein_head",
            f"{train}/last_checkpoint", "--force"]),
        ("test", [
            "tools/test.py", f"{work}/toy_segmentor.pth", f"{work}/toy_segmentor.pth",
            "--work-dir", out, "--out", out, "--show-dir", f"{work}/pictures", "--force",
            *cfg_options(testing)]),
    ]


def target_roots(loader: str, data: str) -> list[str]:
    """Return the overrides that let the `loader` ("val", "test") find the targets in `data`."""
    return [f"{loader}_dataloader.dataset.datasets.{i}.data_root={data}/{name}"
            for i, name in enumerate(("cityscapes", "bdd100k", "mapillary", "acdc"))]


def cfg_options(options: list[str]) -> list[str]:
    """Return the arguments that override config values."""
    return ["--cfg-options", *options] if options else []


def main(args: argparse.Namespace) -> int:
    """Run the steps; stop at the first that fails; end with what came out and where it lies."""
    start = time.monotonic()
    for title, command in steps(args):
        # training names its last checkpoint in a text file
        command = [
            Path(ROOT, word).read_text().strip() if word.endswith("/last_checkpoint") else word
            for word in command]
        print(f"\n[{time.monotonic() - start:4.0f} s] {title}\n$ python {' '.join(command)}",
              flush=True)
        code = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "ignore"},
        ).returncode
        if code:
            print(f"error: `{title}` failed (exit code {code}); see above", file=sys.stderr)
            return code
    report(args.work_dir, time.monotonic() - start)
    return 0


def report(work_dir: str, seconds: float) -> None:
    """Print the table and where each result lies."""
    results = json.loads(Path(ROOT, work_dir, "test/results.json").read_text())
    mean = results["mean"]
    print(f"\n{Path(ROOT, work_dir, 'test/results.md').read_text()}")
    print(f"mIoU over the target domains: Rein {mean['mIoU']:.1f}, "
          f"majority-class guess {mean['majority_mIoU']:.1f}   ({seconds:.0f} s in all)\n")
    for what, where in (
        ("page of results: open in a browser", "test/results.html"),
        ("table of IoU per class and domain", "test/results.md, results.json"),
        ("contact sheet", "pictures/sheet.png"),
        ("every test picture", "pictures/<domain>/"),
        ("merged model for test.py and demo.ipynb", "toy_segmentor.pth"),
        ("TensorBoard: tensorboard --logdir", "train"),
    ):
        print(f"{what + ':':<42} {work_dir}/{where}")


if __name__ == "__main__":
    sys.exit(main(parse_args()))
