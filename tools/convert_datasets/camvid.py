"""Convert CamVid's colour labels to SegNet's 11 classes.

Writes ROOT/labels/*.png and the list of each drive's images, ROOT/0001TP.txt etc.; Void becomes
255. --small also writes the half-size frames of docs/real_photographs.md.

    python tools/convert_datasets/camvid.py data/camvid --small data/camvid_small
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation

from rein.cli import converter_parser, run_converter  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = converter_parser(__doc__)
    parser.add_argument(
        "root", type=Path,
        help="folder with 701_StillsRaw_full/*.png and LabeledApproved_full/*_L.png")
    parser.add_argument("--small", type=Path, metavar="OUT", help="folder for half-size frames")
    return parser


def convert(args: argparse.Namespace):
    """Convert the labels; return the report and the pattern of the written files."""
    from rein.datasets.converters.camvid import convert_camvid, write_small_camvid

    options = dict(workers=args.workers, overwrite=args.overwrite)
    report = convert_camvid(args.root, **options)
    if args.small is None or report.failed:
        return report, f"{args.root}/labels/*.png"
    return (write_small_camvid(args.root, args.small, **options),
            f"{args.small}/{{images,labels}}/*/*")


if __name__ == "__main__":
    run_converter(build_parser(), convert)
