r"""The paper's comparison in miniature: random frozen, Freeze, Full fine-tuning, Rein, over seeds.

    python toy/benchmark.py --seeds 0 1 2 --out docs/toy_benchmark.md
    python toy/benchmark.py --sources 40 160 --targets night fog rain snow
    python toy/benchmark.py --methods freeze rein lora dora soma vpt adaptformer bitfit norm_tuning
    python toy/benchmark.py --methods freeze linear linear4 rein_linear semfpn eomt eomt_lora

Trains and tests each cell with the project's tools on the quickstart's toy world, skips the cells
that are done, and goes on with one that was interrupted. Writes the comparison with
tools/compare.py's tables, and plots beside it; --report writes those of an unfinished grid. One
cell takes about six minutes on two CPU cores.

Hyper-parameters are chosen on other streets of toy GTA, without a look at the targets:

    python toy/benchmark.py --held-out --seeds 100 --work-dir work_dirs/toy_rate_2e-3 \
        --cfg-options optim_wrapper.optimizer.lr=2e-3
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # works without installation

from rein.errors import UserError  # noqa: E402
from toy.benchmark_cells import (  # noqa: E402
    ALL_METHODS,
    HELD_OUT,
    METHODS,
    SOURCES,
    Cell,
    is_done,
    list_tests,
    run_cell,
    run_tool,
)

CONDITIONS = ("night", "fog", "rain", "snow")  # of ACDC


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--methods", nargs="+", choices=ALL_METHODS, default=list(METHODS), metavar="NAME",
        help=f"of {', '.join(ALL_METHODS)}; default: {' '.join(METHODS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--sources", nargs="+", type=int, default=[SOURCES], metavar="N",
        help="pictures of toy GTA to train on; default: all 160")
    parser.add_argument(
        "--targets", nargs="+", choices=CONDITIONS, default=[], help="test on these of ACDC, too")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--held-out", action="store_true",
        help="test on held-out streets of the source instead of the targets")
    source.add_argument(
        "--in-domain", action="store_true", help="test on held-out streets of the source, too")
    parser.add_argument(
        "--report", action="store_true", help="train nothing; report the cells that are done")
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs/toy_benchmark")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the report; default: WORK_DIR")
    parser.add_argument(
        "--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="for every training")
    return parser.parse_args(arguments)


def list_cells(args: argparse.Namespace) -> list[Cell]:
    """List all cells, seed by seed, so that an unfinished grid compares all methods."""
    return [Cell(method, sources, seed, args.work_dir / f"{method}_{sources}" / f"seed{seed}")
            for seed, sources, method in product(args.seeds, args.sources, args.methods)]


def make_held_out() -> None:
    """Draw and convert the held-out streets of toy GTA; existing ones are kept."""
    nothing = [word for name in ("cityscapes", "bdd", "mapillary", "acdc", "acdc-night")
               for word in (f"--{name}", 0)]
    log = ROOT / HELD_OUT / "made.log"
    run_tool("tools/make_toy_streets.py", HELD_OUT, "--seed", 7, "--gta", 24, *nothing, log=log)
    run_tool("tools/convert_datasets/gta.py", f"{HELD_OUT}/gta", log=log)


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

    tests = list_tests(args.targets, args.held_out, args.in_domain)
    cells = list_cells(args)
    if args.report:
        cells = [cell for cell in cells if is_done(cell, tests)]
        if not cells:
            raise UserError(f"{args.work_dir}: no cell of these methods and seeds is done.")
    else:
        run_cells(cells, tests, args)
    out = args.out or args.work_dir / "toy_benchmark.md"
    draw_plots(cells, out.with_suffix(".png"), list(tests))
    write_report(cells, out, list(tests))
    print(f"comparison of {len(cells)} runs: {out}, {out.with_suffix('.png')}")


def run_cells(
    cells: Sequence[Cell], tests: Mapping[str, Sequence[str]], args: argparse.Namespace,
) -> None:
    """Train and test all cells, and print each result."""
    make_weights()
    if args.held_out or args.in_domain:
        make_held_out()
    for number, cell in enumerate(cells, 1):
        start = time.monotonic()
        run_cell(cell, tests, args.cfg_options)
        results = cell.folder / next(iter(tests)) / "results.json"
        mean = json.loads(results.read_text())["mean"]["mIoU"]
        print(f"[{number}/{len(cells)}] {cell.method}, {cell.sources} pictures, seed {cell.seed}: "
              f"mIoU {mean:.1f}  ({time.monotonic() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli

    run_cli(lambda: main(arguments))
