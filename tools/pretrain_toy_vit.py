r"""Pretrain the toy foundation model that the quickstart freezes, without labels.

    python tools/make_toy_streets.py data/toy_unlabelled --seed 1000 --unlabelled 1200 \
        --gta 0 --cityscapes 0 --bdd 0 --mapillary 0 --acdc 0 --acdc-night 0
    python tools/pretrain_toy_vit.py --images data/toy_unlabelled/unlabelled --out toy_vit.pth

Writes DINOv2's format (patch 14, 16x16 position grid) in half precision to stay below 4 MiB;
loading casts. Takes about fifteen minutes on two CPU cores. With --probe it trains nothing: it
compares a linear probe on the features of --out with one on random weights.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--images", type=Path, default=Path("data/toy_unlabelled/unlabelled"), metavar="DIR",
        help="folder of pairs NAME.jpg, NAME_fair.jpg; default: %(default)s")
    parser.add_argument(
        "--out", type=Path, default=Path("checkpoints/toy_vit_pretrain.pth"), metavar="FILE",
        help="default: %(default)s")
    parser.add_argument("--iters", type=int, default=1000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="replace another file at FILE")
    parser.add_argument(
        "--probe", action="store_true", help="probe the features of FILE and of random weights")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Pretrain or probe, and print what was written where."""
    from rein.checkpoint import load_file
    from rein.engine.weight_files import write_output
    from rein.errors import UserError
    from toy.pretraining.pretrain import Recipe, find_pairs, pretrain
    from toy.pretraining.probe import compare_with_random

    if args.probe:
        print(compare_with_random(load_file(args.out)))
        return
    pairs = find_pairs(args.images)
    if args.out.exists() and not args.force:
        raise UserError(f"{args.out}: exists. Give another --out, or --force.")
    weights = pretrain(pairs, Recipe(iters=args.iters, seed=args.seed))
    write_output({k: v.half() for k, v in weights.items()}, args.out, overwrite=args.force)
    print(f"pretrained on {len(pairs)} streets without labels: {args.out}")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli  # after parsing: importing rein takes seconds

    run_cli(lambda: main(arguments))
