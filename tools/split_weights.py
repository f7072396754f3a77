r"""Split a full segmentor into its parts: the inverse of tools/generate_full_weights.py.

    python tools/split_weights.py checkpoints/dinov2_segmentor.pth \
        --backbone checkpoints/dinov2_converted.pth \
        --rein_head checkpoints/dinov2_rein_and_head.pth
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import command_parser, run_command  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("segmentor", help="full segmentor")
    parser.add_argument(
        "--backbone", required=True, metavar="OUT", help="output file for the converted backbone")
    parser.add_argument(
        "--rein_head", required=True, metavar="OUT", help="output file for the adapter and head")
    parser.add_argument("--force", action="store_true", help="replace existing files")
    return parser


def main(args: argparse.Namespace) -> None:
    """Split the weights and print the output paths."""
    from rein.engine.weights.files import split_file

    split_file(args.segmentor, args.backbone, args.rein_head, overwrite=args.force)
    print(f"converted backbone: {args.backbone}; adapter and head: {args.rein_head}")


if __name__ == "__main__":
    run_command(build_parser(), main)
