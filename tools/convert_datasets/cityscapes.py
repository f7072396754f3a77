"""Rasterize Cityscapes polygon annotations to trainId PNGs.

Writes ROOT/gtFine/<split>/<city>/*_labelTrainIds.png, beside the annotations.

    python tools/convert_datasets/cityscapes.py data/cityscapes
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation

from rein.cli import converter_parser, input_path, run_converter  # noqa: E402


def convert(args):
    """Convert the labels; return the report and the pattern of the written files."""
    from rein.datasets.converters.cityscapes import convert_cityscapes

    report = convert_cityscapes(
        args.root, coarse=args.coarse, workers=args.workers, overwrite=args.overwrite)
    kinds = "{gtFine,gtCoarse}" if args.coarse else "gtFine"
    return report, f"{args.root}/{kinds}/*/*/*_labelTrainIds.png"


if __name__ == "__main__":
    parser = converter_parser(__doc__)
    parser.add_argument(
        "root", type=input_path, help="folder with gtFine/<split>/<city>/*_polygons.json")
    parser.add_argument("--coarse", action="store_true", help="convert gtCoarse as well")
    run_converter(parser, convert)
