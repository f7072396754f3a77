"""Draw Cityscapes polygon annotations as trainIds, beside the annotations.

Writes ROOT/gtFine/<split>/<city>/*_labelTrainIds.png.

    python tools/convert_datasets/cityscapes.py data/cityscapes
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder with gtFine/<split>/<city>/*_polygons.json")
    parser.add_argument("--coarse", action="store_true", help="convert gtCoarse as well")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: one per core")
    parser.add_argument(
        "--overwrite", action="store_true",
        help="convert again what is done; by default only what is missing, damaged or older "
             "than its source")
    return parser.parse_args()


def main(args: argparse.Namespace) -> int:
    """Convert, and print what was written where."""
    from rein.datasets.converters.cityscapes import convert_cityscapes
    from rein.datasets.converters.jobs import summarize

    report = convert_cityscapes(
        args.root, coarse=args.coarse, workers=args.workers, overwrite=args.overwrite)
    kinds = "{gtFine,gtCoarse}" if args.coarse else "gtFine"
    return summarize(report, f"{args.root}/{kinds}/*/*/*_labelTrainIds.png")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli  # after parsing: importing rein takes seconds

    run_cli(lambda: main(arguments))
