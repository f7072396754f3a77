r"""Merge a pretrained backbone with a trained adapter and head into one full segmentor.

    python tools/generate_full_weights.py \
        --dinov2_segmentor_path checkpoints/dinov2_segmentor.pth \
        --backbone checkpoints/dinov2_vitl14_pretrain.pth \
        --rein_head checkpoints/dinov2_rein_and_head.pth
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

DEFAULT_CONFIG = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dinov2_segmentor_path", required=True, metavar="OUT", help="output file")
    parser.add_argument(
        "--backbone", required=True, metavar="PATH",
        help="DINOv2 weights, as downloaded or converted")
    parser.add_argument(
        "--rein_head", required=True, metavar="PATH",
        help="training checkpoint with the adapter and head")
    parser.add_argument(
        "--config", default=DEFAULT_CONFIG,
        help="config to include if the training checkpoint has none; default: %(default)s")
    parser.add_argument(
        "--allow-other-backbone", action="store_true",
        help="merge with a backbone other than the one the adapter was trained with")
    parser.add_argument(
        "--fold", action="store_true",
        help="fold the adapter into the backbone: the same outputs without its cost; for LoRA, "
             "DoRA, SoMA, BitFit and NormTuning")
    parser.add_argument("--force", action="store_true", help="replace another file at OUT")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Merge the weights and print the output path."""
    from rein.engine.config import load_config
    from rein.engine.weight_files import merge_files

    out = merge_files(
        args.backbone, args.rein_head, args.dinov2_segmentor_path, load_config(args.config),
        overwrite=args.force, allow_other_backbone=args.allow_other_backbone,
        fold=args.fold)
    print(f"full segmentor with its config: {out}")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli

    run_cli(lambda: main(arguments))
