r"""Convert a downloaded DINOv2 ViT-L checkpoint for the 1024x1024 configs.

    python tools/convert_models/convert_dinov2_large_1024x1024.py \
        checkpoints/dinov2_vitl14_pretrain.pth
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation

from rein.cli import command_parser, run_command  # noqa: E402

VIT_LARGE_WIDTH = 1024


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("source", help="dinov2_vitl14_pretrain.pth")
    parser.add_argument(
        "out", nargs="?", help="default: dinov2_converted_1024x1024.pth beside the source")
    parser.add_argument("--force", action="store_true", help="replace another file at OUT")
    return parser


def main(args: argparse.Namespace) -> None:
    """Convert the weights and print the output path."""
    from rein.engine.weights.files import convert_file

    out = convert_file(
        args.source, args.out, (1024, 1024), overwrite=args.force, width=VIT_LARGE_WIDTH)
    print(f"converted to 1024x1024 pixels, patch 16: {out}")


if __name__ == "__main__":
    run_command(build_parser(), main)
