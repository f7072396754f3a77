"""The paper's comparison in miniature: random frozen, Freeze, Full fine-tuning, Rein, over seeds.

    python toy/benchmark.py --seeds 0 1 2 --out docs/toy_benchmark.md
    python toy/benchmark.py --sources 40 160 --targets fog rain snow

Trains and tests each cell with the project's tools on the quickstart's toy world, skips the cells
that are done, and goes on with one that was interrupted. Writes the comparison with
tools/compare.py's tables, and plots beside it. One cell takes about six minutes on two CPU cores.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from itertools import product
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # works without installation

_CONFIG = "configs/toy/{}toy_vit_mask2former_256x256.py"
METHODS = {"random": _CONFIG.format("frozen_random_"), "freeze": _CONFIG.format("frozen_"),
           "full": _CONFIG.format(""), "rein": _CONFIG.format("rein_")}
CONDITIONS = ("night", "fog", "rain", "snow")
SOURCES = 160  # toy GTA pictures that the quickstart makes


class Cell(NamedTuple):
    """One training with its tests.

    Attributes:
        method: A key of `METHODS`.
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
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--sources", nargs="+", type=int, default=[SOURCES], metavar="N",
        help="pictures of toy GTA to train on; default: all 160")
    parser.add_argument(
        "--targets", nargs="+", choices=CONDITIONS, default=[], help="test on these of ACDC, too")
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs/toy_benchmark")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the report; default: WORK_DIR")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="for every training")
    return parser.parse_args(arguments)


def list_cells(args: argparse.Namespace) -> list[Cell]:
    """List all cells, seed by seed, so that an unfinished grid compares all methods."""
    return [Cell(method, sources, seed, args.work_dir / f"{method}_{sources}" / f"seed{seed}")
            for seed, sources, method in product(args.seeds, args.sources, args.methods)]


def run_cell(cell: Cell, targets: Sequence[str], options: Sequence[str] = ()) -> None:
    """Train and test one cell; skip what is done."""
    config, train = METHODS[cell.method], cell.folder / "train"
    trained = cell.folder / "cost.json"
    if not trained.exists():
        settings = [f"randomness.seed={cell.seed}", *options]
        if cell.sources != SOURCES:
            settings.append(f"train_dataloader.dataset.indices={cell.sources}")
        seconds, memory = run_tool(
            "tools/train.py", config, "--work-dir", train,
            *(["--resume"] if any(train.glob("iter_*.pth")) else []),
            "--cfg-options", *settings, log=cell.folder / "train.log")
        trained.write_text(json.dumps(dict(seconds=round(seconds), peak_mib=round(memory))))
    checkpoint = train / (train / "last_checkpoint").read_text().strip()
    if not (cell.folder / "results.json").exists():
        run_tool("tools/test.py", config, checkpoint, "--work-dir", cell.folder / "test", "--out",
                 cell.folder, "--force", log=cell.folder / "test.log")
    for name in targets:
        if not (cell.folder / name / "results.json").exists():
            run_tool("tools/test.py", config, checkpoint, "--work-dir", cell.folder / name / "test",
                     "--out", cell.folder / name, "--force", "--cfg-options",
                     *acdc_options(name), log=cell.folder / f"test_{name}.log")


def acdc_options(condition: str) -> list[str]:
    """Return the overrides that test one condition of ACDC, the last dataset of the config."""
    dataset, domain = "test_dataloader.dataset.datasets", f"acdc_{condition}"
    return [
        *(f"{dataset}.{i}.indices=1" for i in range(3)),
        f"{dataset}.3.domain={domain}",
        f"{dataset}.3.data_prefix.img_path=rgb_anon/{condition}/val",
        f"{dataset}.3.data_prefix.seg_map_path=gt/{condition}/val",
        f"test_evaluator.dataset_keys=['{domain}']",
        f"test_evaluator.mean_used_keys=['{domain}']",
    ]


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


def trainable(folder: Path) -> str:
    """Read the number of trained parameters from a training's log."""
    for line in (folder / "train.log").read_text().splitlines():
        if "trainable: " in line:
            return line.split("trainable: ")[1].split(" of ")[0]
    return "?"


def report(cells: Sequence[Cell], out: Path, targets: Sequence[str] = ()) -> str:
    """Compare cells in Markdown: on the quickstart's targets, then on conditions of ACDC."""
    from rein.evaluation.comparison import compare

    parts = [f"Measured on {date.today()} on {os.cpu_count()} CPU cores by `toy/benchmark.py`: the "
             "toy street world, not the paper's datasets."]
    for sources in sorted({cell.sources for cell in cells}):
        chosen = [cell for cell in cells if cell.sources == sources]
        parts += [f"## {sources} source pictures",
                  compare([cell.folder for cell in chosen]).replace("# ", "### "),
                  cost_table(chosen)]
        parts += [f"### ACDC {name}, {sources} source pictures\n\n"
                  + compare([cell.folder / name for cell in chosen]).replace("# ", "#### ")
                  for name in targets]
    parts.append(f"![mIoU of each method]({out.stem}.png)")
    return "\n\n".join(["# Toy benchmark", *parts]) + "\n"


def cost_table(cells: Sequence[Cell]) -> str:
    """Trained parameters, time and memory of each method, in Markdown."""
    lines = ["| method | trained parameters | training, s | peak memory, MiB |",
             "|---|---|---|---|"]
    for method in dict.fromkeys(cell.method for cell in cells):
        folders = [cell.folder for cell in cells if cell.method == method]
        costs = [json.loads((folder / "cost.json").read_text()) for folder in folders]
        seconds, memory = (sum(c[k] for c in costs) / len(costs) for k in ("seconds", "peak_mib"))
        lines.append(f"| {method} | {trainable(folders[0])} | {seconds:.0f} | {memory:.0f} |")
    return "\n".join(lines)


def plot(cells: Sequence[Cell], path: Path) -> None:
    """Draw bars with deviations per target, and the mean over the number of source pictures."""
    import matplotlib.pyplot as plt
    import numpy as np

    results = {cell: json.loads((cell.folder / "results.json").read_text()) for cell in cells}
    methods = list(dict.fromkeys(cell.method for cell in cells))
    counts, most = sorted({cell.sources for cell in cells}), max(cell.sources for cell in cells)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    names = [*next(iter(results.values()))["domains"], "mean"]
    for k, method in enumerate(methods):
        rows = np.array([[*(d["mIoU"] for d in r["domains"].values()), r["mean"]["mIoU"]]
                         for c, r in results.items() if (c.method, c.sources) == (method, most)])
        axes[0].bar(np.arange(len(names)) + 0.2 * k, rows.mean(0), 0.2, label=method,
                    yerr=rows.std(0, ddof=1) if len(rows) > 1 else None)
        means = [[r["mean"]["mIoU"] for c, r in results.items()
                  if (c.method, c.sources) == (method, n)] for n in counts]
        axes[1].errorbar(counts, [np.mean(m) for m in means], [np.std(m) for m in means],
                         marker="o", capsize=3, label=method)
    axes[0].set_xticks(np.arange(len(names)) + 0.3, names)
    axes[0].set(ylabel="mIoU, %", title=f"{most} source pictures")
    axes[1].set(xlabel="source pictures", title="mean over the targets")
    axes[0].legend()
    figure.savefig(path, dpi=120)


def main(args: argparse.Namespace) -> None:
    """Run all cells, then report those that are done."""
    from rein.atomic_files import write_atomically

    make_weights()
    cells = list_cells(args)
    for number, cell in enumerate(cells, 1):
        start = time.monotonic()
        run_cell(cell, args.targets, args.cfg_options)
        mean = json.loads((cell.folder / "results.json").read_text())["mean"]["mIoU"]
        print(f"[{number}/{len(cells)}] {cell.method}, {cell.sources} pictures, seed {cell.seed}: "
              f"mIoU {mean:.1f}  ({time.monotonic() - start:.0f} s)", flush=True)
    out = args.out or args.work_dir / "toy_benchmark.md"
    plot(cells, out.with_suffix(".png"))
    write_atomically(out, report(cells, out, args.targets))
    print(f"comparison of {len(cells)} runs: {out}, {out.with_suffix('.png')}")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli

    run_cli(lambda: main(arguments))
