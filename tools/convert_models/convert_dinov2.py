r"""Convert a downloaded DINOv2 checkpoint to a config's patch and image size.

    python tools/convert_models/convert_dinov2.py checkpoints/dinov2_vitb14_pretrain.pth \
        checkpoints/dinov2_vitb16_converted.pth --img-size 512 --patch-size 16
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation

from rein.cli import command_parser, run_command  # noqa: E402
from rein.errors import UserError  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("source", help="DINOv2 weights (ViT-S, B, L or g)")
    parser.add_argument(
        "out", nargs="?",
        help="output file; default: dinov2_converted.pth beside the source, with the size in the "
             "name unless it is 512x512")
    parser.add_argument(
        "--img-size", type=int, nargs="+", default=[512], metavar="PIXELS",
        help="side length, or height and width; default: 512")
    parser.add_argument(
        "--patch-size", type=int, default=16, metavar="PIXELS", help="default: 16")
    parser.add_argument("--force", action="store_true", help="replace another file at OUT")
    return parser


def main(args: argparse.Namespace) -> None:
    """Convert the weights and print the output path."""
    if len(args.img_size) > 2:
        raise UserError("--img-size takes one or two numbers.")
    from rein.engine.weights.files import convert_file

    height, width = args.img_size[0], args.img_size[-1]
    out = convert_file(
        args.source, args.out, (height, width), args.patch_size, overwrite=args.force)
    print(f"converted to {height}x{width} pixels, patch {args.patch_size}: {out}")


if __name__ == "__main__":
    run_command(build_parser(), main)
