"""Convert GTA V labels to Cityscapes trainIds.

Writes ROOT/labels/*_labelTrainIds.png, beside the originals; ids without a trainId become 255.

    python tools/convert_datasets/gta.py data/gta
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation

from rein.cli import converter_parser, input_path, run_converter  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = converter_parser(__doc__)
    parser.add_argument("root", type=input_path, help="folder with images/*.png and labels/*.png")
    return parser


def convert(args: argparse.Namespace):
    """Convert the labels; return the report and the pattern of the written files."""
    from rein.datasets.converters.gta import convert_gta

    report = convert_gta(args.root, workers=args.workers, overwrite=args.overwrite)
    return report, f"{args.root}/labels/*_labelTrainIds.png"


if __name__ == "__main__":
    run_converter(build_parser(), convert)
