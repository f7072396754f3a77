r"""Halve Mapillary images and their labels on disk, keeping their names.

Images: the mean of each 2 x 2 pixels, as JPEG of quality 95. Labels: the nearest neighbour.
An odd last row or column is dropped.

    python tools/convert_datasets/mapillary_resize.py data/mapillary/validation/images \
        data/mapillary/cityscapes_trainIdLabel/val/label data/mapillary/half/val_img \
        data/mapillary/half/val_label
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation

from rein.cli import converter_parser, input_path, run_converter  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = converter_parser(__doc__)
    parser.add_argument("images", type=input_path, help="folder of images")
    parser.add_argument(
        "labels", type=input_path, help="folder of converted labels, named like the images")
    parser.add_argument("images_out", type=Path, help="folder for the halved images")
    parser.add_argument("labels_out", type=Path, help="folder for the halved labels")
    return parser


def convert(args: argparse.Namespace):
    """Halve the images and labels; return the report and the output folders."""
    from rein.datasets.converters.mapillary import halve_mapillary
    from rein.paths import output_path

    images_out, labels_out = (
        output_path(out, args.images, args.labels) for out in (args.images_out, args.labels_out))
    report = halve_mapillary(
        args.images, args.labels, images_out, labels_out,
        workers=args.workers, overwrite=args.overwrite)
    return report, f"{images_out} and {labels_out}"


if __name__ == "__main__":
    run_converter(build_parser(), convert)
