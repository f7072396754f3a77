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

from rein.cli import command_parser, run_command  # noqa: E402

DEFAULT_CONFIG = "configs/dinov2/rein_dinov2_mask2former_512x512_bs1x4.py"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "--dinov2_segmentor_path", required=True, metavar="OUT", help="output file")
    parser.add_argument(
        "--backbone", required=True, metavar="PATH",
        help="DINOv2 weights, as downloaded or converted")
    parser.add_argument(
        "--rein_head", required=True, metavar="PATH",
        help="training checkpoint with the adapter and head")
    parser.add_argument(
        "--config",
        help="config to include; default: that of the training checkpoint, or if it has none, "
             f"{DEFAULT_CONFIG}")
    parser.add_argument(
        "--allow-other-backbone", action="store_true",
        help="merge with a backbone other than the one the adapter was trained with")
    parser.add_argument(
        "--fold", action="store_true",
        help="fold the adapter into the backbone: the same outputs without its cost; for LoRA, "
             "DoRA, SoMA, BitFit, NormTuning and Peft")
    parser.add_argument(
        "--raw-weights", action="store_true",
        help="merge the raw weights of a checkpoint trained with EMAHook; default: their average")
    parser.add_argument("--force", action="store_true", help="replace another file at OUT")
    return parser


def main(args: argparse.Namespace) -> None:
    """Merge the weights and print the output path."""
    from rein.engine.configs.reading import load_config
    from rein.engine.weights.files import merge_files

    config = load_config(args.config or DEFAULT_CONFIG)
    out = merge_files(
        args.backbone, args.rein_head, args.dinov2_segmentor_path, config, overwrite=args.force,
        allow_other_backbone=args.allow_other_backbone, fold=args.fold,
        config=config if args.config else None, raw_weights=args.raw_weights)
    print(f"full segmentor with its config: {out}")


if __name__ == "__main__":
    run_command(build_parser(), main)
