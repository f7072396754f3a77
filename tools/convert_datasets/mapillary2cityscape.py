r"""Convert Mapillary Vistas v1.2 labels to Cityscapes classes.

Writes OUT/{train,val}/label/*.png. Reads both published layouts: config.json with <split>/labels,
and config_v1.2.json with <split>/v1.2/labels.

    python tools/convert_datasets/mapillary2cityscape.py data/mapillary \
        data/mapillary/cityscapes_trainIdLabel --train_id
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation

from rein.cli import converter_parser, input_path, run_converter  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = converter_parser(__doc__)
    parser.add_argument("root", type=input_path, help="folder of the extracted dataset")
    parser.add_argument("out", type=Path, help="folder for the converted labels")
    parser.add_argument(
        "--train_id", "--train-id", action="store_true",
        help="write trainIds (ignored pixels: 255); default: Cityscapes label ids (ignored: 0)")
    return parser


def convert(args: argparse.Namespace):
    """Convert the labels; return the report and the pattern of the written files."""
    from rein.datasets.converters.mapillary import convert_mapillary
    from rein.paths import output_path

    out = output_path(args.out, args.root)
    report = convert_mapillary(
        args.root, out, train_ids=args.train_id, workers=args.workers, overwrite=args.overwrite)
    return report, f"{out}/{{train,val}}/label/*.png"


if __name__ == "__main__":
    run_converter(build_parser(), convert)
