r"""Convert DINOv2 ViT-L as it is downloaded for the 512x512 configs.

    python tools/convert_models/convert_dinov2_large_512x512.py \
        checkpoints/dinov2_vitl14_pretrain.pth
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation

VIT_LARGE_WIDTH = 1024


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="dinov2_vitl14_pretrain.pth")
    parser.add_argument(
        "out", nargs="?", help="default: dinov2_converted.pth beside the source")
    parser.add_argument("--force", action="store_true", help="replace another file at OUT")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Convert, and print what was written where."""
    from rein.engine.weight_files import convert_file

    out = convert_file(
        args.source, args.out, (512, 512), overwrite=args.force, width=VIT_LARGE_WIDTH)
    print(f"converted to 512x512 pixels, patch 16: {out}")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli

    run_cli(lambda: main(arguments))
