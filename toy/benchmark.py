r"""The paper's comparison in miniature: random frozen, Freeze, Full fine-tuning, Rein, over seeds.

    python toy/benchmark.py --seeds 0 1 2 --out docs/toy_benchmark.md
    python toy/benchmark.py --sources 40 160 --targets night fog rain snow
    python toy/benchmark.py --methods freeze rein lora dora soma vpt adaptformer bitfit norm_tuning
    python toy/benchmark.py --methods freeze linear linear4 semfpn eomt eomt_lora

Trains and tests each cell with the project's tools on the quickstart's toy world, skips the cells
that are done, and goes on with one that was interrupted. Writes the comparison with
tools/compare.py's tables, and plots beside it. One cell takes about six minutes on two CPU cores.

Hyper-parameters are chosen on other streets of toy GTA, without a look at the targets:

    python toy/benchmark.py --held-out --seeds 100 --work-dir work_dirs/toy_rate_2e-3 \
        --cfg-options optim_wrapper.optimizer.lr=2e-3
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # works without installation

_CONFIG = "configs/toy/{}toy_vit_mask2former_256x256.py"
METHODS = {"random": _CONFIG.format("frozen_random_"), "freeze": _CONFIG.format("frozen_"),
           "full": _CONFIG.format(""), "rein": _CONFIG.format("rein_")}
ADAPTERS = ("lora", "dora", "soma", "vpt", "adaptformer", "bitfit", "norm_tuning")
HEADS = ("linear", "linear4", "semfpn", "eomt", "eomt_lora")  # all but the last: frozen network
ALL_METHODS = {
    **METHODS, **{name: _CONFIG.format(f"{name}_") for name in ADAPTERS},
    **{name: f"configs/toy/{name}_toy_vit_256x256.py" for name in HEADS}}
CONDITIONS = ("night", "fog", "rain", "snow")  # of ACDC
HELD_OUT = "data/toy_held_out"  # toy GTA of another draw of streets
SOURCES = 160  # toy GTA pictures that the quickstart makes


class Cell(NamedTuple):
    """One training with its tests.

    Attributes:
        method: A key of `ALL_METHODS`.
        sources: Source pictures to train on.
        seed: Of the training.
        folder: Receives everything.
    """

    method: str
    sources: int
    seed: int
    folder: Path


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=ALL_METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--sources", nargs="+", type=int, default=[SOURCES], metavar="N",
        help="pictures of toy GTA to train on; default: all 160")
    parser.add_argument(
        "--targets", nargs="+", choices=CONDITIONS, default=[], help="test on these of ACDC, too")
    parser.add_argument(
        "--held-out", action="store_true",
        help="test on held-out streets of the source instead of the targets")
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs/toy_benchmark")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the report; default: WORK_DIR")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="for every training")
    return parser.parse_args(arguments)


def list_cells(args: argparse.Namespace) -> list[Cell]:
    """List all cells, seed by seed, so that an unfinished grid compares all methods."""
    return [Cell(method, sources, seed, args.work_dir / f"{method}_{sources}" / f"seed{seed}")
            for seed, sources, method in product(args.seeds, args.sources, args.methods)]


def run_cell(cell: Cell, tests: Mapping[str, Sequence[str]], options: Sequence[str] = ()) -> None:
    """Train and test one cell; skip what is done.

    Args:
        cell: What to train.
        tests: Folder inside the cell's, "." for itself -> config overrides of the test.
        options: Config overrides of the training.
    """
    from rein.atomic_files import write_atomically

    config, train = ALL_METHODS[cell.method], cell.folder / "train"
    trained = cell.folder / "cost.json"
    if not trained.exists():
        settings = [f"randomness.seed={cell.seed}", *options]
        if cell.sources != SOURCES:
            settings.append(f"train_dataloader.dataset.indices={cell.sources}")
        seconds, memory = run_tool(
            "tools/train.py", config, "--work-dir", train,
            *(["--resume"] if any(train.glob("iter_*.pth")) else []),
            "--cfg-options", *settings, log=cell.folder / "train.log")
        write_atomically(trained, json.dumps(dict(seconds=round(seconds), peak_mib=round(memory))))
    checkpoint = train / (train / "last_checkpoint").read_text().strip()
    for name, settings in tests.items():
        out = cell.folder / name
        if not (out / "results.json").exists():
            run_tool("tools/test.py", config, checkpoint, "--work-dir", out / "test", "--out", out,
                     "--force", *(["--cfg-options", *settings] if settings else []),
                     log=out / "test.log")


def list_tests(conditions: Sequence[str], held_out: bool) -> dict[str, list[str]]:
    """List the tests of each cell: the folder in the cell's -> config overrides."""
    tests = {".": target_options([Target(
        "gta", f"{HELD_OUT}/gta/", "images", "labels", ".png", "_labelTrainIds.png",
    )]) if held_out else []}
    if conditions:
        tests[acdc_folder(conditions)] = target_options([Target(
            f"acdc_{name}", "data/toy/acdc/", f"rgb_anon/{name}/val", f"gt/{name}/val",
            "_rgb_anon.png", "_gt_labelTrainIds.png") for name in conditions])
    return tests


def acdc_folder(conditions: Sequence[str]) -> str:
    """Name the folder, in a cell's, of the results on conditions of ACDC."""
    return "_".join(["acdc", *conditions])


class Target(NamedTuple):
    """A dataset to test on, by its keys in a config."""

    domain: str
    data_root: str
    images: str
    labels: str
    img_suffix: str
    seg_map_suffix: str


def target_options(targets: Sequence[Target]) -> list[str]:
    """Return the overrides that test these datasets in the places of the config's last ones."""
    datasets, others = "test_dataloader.dataset.datasets", 4 - len(targets)
    options = [f"{datasets}.{i}.indices=1" for i in range(others)]
    for i, target in enumerate(targets, others):
        options += [
            f"{datasets}.{i}.domain={target.domain}",
            f"{datasets}.{i}.data_root={target.data_root}",
            f"{datasets}.{i}.data_prefix.img_path={target.images}",
            f"{datasets}.{i}.data_prefix.seg_map_path={target.labels}",
            f"{datasets}.{i}.img_suffix={target.img_suffix}",
            f"{datasets}.{i}.seg_map_suffix={target.seg_map_suffix}",
        ]
    domains = [target.domain for target in targets]
    return [*options, f"test_evaluator.dataset_keys={domains}",
            f"test_evaluator.mean_used_keys={domains}"]


def make_held_out() -> None:
    """Draw and convert the held-out streets of toy GTA; existing ones are kept."""
    nothing = [word for name in ("cityscapes", "bdd", "mapillary", "acdc", "acdc-night")
               for word in (f"--{name}", 0)]
    log = ROOT / HELD_OUT / "made.log"
    run_tool("tools/make_toy_streets.py", HELD_OUT, "--seed", 7, "--gta", 24, *nothing, log=log)
    run_tool("tools/convert_datasets/gta.py", f"{HELD_OUT}/gta", log=log)


def run_tool(*words: object, log: Path) -> tuple[float, float]:
    """Run a tool with its output in a log; return seconds and peak memory in MiB.

    Raises:
        UserError: It failed.
    """
    from rein.errors import UserError

    log.parent.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with log.open("a") as file:
        process = subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, stdout=file,
                                   stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UserError(f"{words[0]} failed (exit code {process.returncode}): see {log}")
    return time.monotonic() - start, usage.ru_maxrss / 1024


def make_weights() -> None:
    """Convert the toy weights, and random ones of the same network, for the configs."""
    import torch

    from rein.checkpoint import convert_dinov2, load_file, save_file
    from toy.pretraining.student import build_encoder

    pretrained = load_file(ROOT / "checkpoints/toy_vit_pretrain.pth")
    torch.manual_seed(0)
    width = pretrained["cls_token"].shape[-1]
    random = {**build_encoder(width).state_dict(), "mask_token": torch.zeros(1, width)}
    for name, weights in (("toy_vit", pretrained), ("toy_vit_random", random)):
        save_file(convert_dinov2(weights, (256, 256)), ROOT / f"checkpoints/{name}_converted.pth")


def main(args: argparse.Namespace) -> None:
    """Run all cells, then report them."""
    from toy.benchmark_report import draw_plots, write_report

    make_weights()
    if args.held_out:
        make_held_out()
    tests, cells = list_tests(args.targets, args.held_out), list_cells(args)
    for number, cell in enumerate(cells, 1):
        start = time.monotonic()
        run_cell(cell, tests, args.cfg_options)
        mean = json.loads((cell.folder / "results.json").read_text())["mean"]["mIoU"]
        print(f"[{number}/{len(cells)}] {cell.method}, {cell.sources} pictures, seed {cell.seed}: "
              f"mIoU {mean:.1f}  ({time.monotonic() - start:.0f} s)", flush=True)
    out = args.out or args.work_dir / "toy_benchmark.md"
    draw_plots(cells, out.with_suffix(".png"), args.targets)
    write_report(cells, out, args.targets)
    print(f"comparison of {len(cells)} runs: {out}, {out.with_suffix('.png')}")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli

    run_cli(lambda: main(arguments))
