"""Rasterize Cityscapes polygon annotations to trainId PNGs.

Writes ROOT/gtFine/<split>/<city>/*_labelTrainIds.png, beside the annotations.

    python tools/convert_datasets/cityscapes.py data/cityscapes
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation

from rein.cli import converter_parser, input_path, run_converter  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = converter_parser(__doc__)
    parser.add_argument(
        "root", type=input_path, help="folder with gtFine/<split>/<city>/*_polygons.json")
    parser.add_argument("--coarse", action="store_true", help="convert gtCoarse as well")
    return parser


def convert(args: argparse.Namespace):
    """Convert the labels; return the report and the pattern of the written files."""
    from rein.datasets.converters.cityscapes import convert_cityscapes

    report = convert_cityscapes(
        args.root, coarse=args.coarse, workers=args.workers, overwrite=args.overwrite)
    kinds = "{gtFine,gtCoarse}" if args.coarse else "gtFine"
    return report, f"{args.root}/{kinds}/*/*/*_labelTrainIds.png"


if __name__ == "__main__":
    run_converter(build_parser(), convert)
