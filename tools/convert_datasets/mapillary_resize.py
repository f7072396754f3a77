r"""Halve Mapillary images and their labels on disk, keeping their names.

Images: the mean of each 2 x 2 pixels, as JPEG of quality 95. Labels: the nearest neighbour.
An odd last row or column is left out.

    python tools/convert_datasets/mapillary_resize.py data/mapillary/validation/images \
        data/mapillary/cityscapes_trainIdLabel/val/label data/mapillary/half/val_img \
        data/mapillary/half/val_label
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument(
        "labels", type=Path,
        help="folder of converted labels, with the images' names")
    parser.add_argument("images_out", type=Path, help="folder for the halved images")
    parser.add_argument("labels_out", type=Path, help="folder for the halved labels")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: one per core")
    parser.add_argument(
        "--overwrite", action="store_true",
        help="convert again what is done; by default only what is missing, damaged or older "
             "than its source")
    return parser.parse_args()


def main(args: argparse.Namespace) -> int:
    """Convert, and print what was written where."""
    from rein.datasets.converters.jobs import summarize
    from rein.datasets.converters.mapillary import halve_mapillary

    report = halve_mapillary(
        args.images, args.labels, args.images_out, args.labels_out,
        workers=args.workers, overwrite=args.overwrite)
    return summarize(report, f"{args.images_out} and {args.labels_out}")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli  # after parsing: importing rein takes seconds

    run_cli(lambda: main(arguments))
