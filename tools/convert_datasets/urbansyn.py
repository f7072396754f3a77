"""Convert UrbanSyn labels to Cityscapes trainIds under the names of their images.

Writes ROOT/labels/rgb_*_labelTrainIds.png; 19 (unlabelled) becomes 255.

    python tools/convert_datasets/urbansyn.py data/urbansyn
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder with rgb/*.png and ss/*.png")
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
    from rein.datasets.converters.urbansyn import convert_urbansyn

    report = convert_urbansyn(args.root, workers=args.workers, overwrite=args.overwrite)
    return summarize(report, f"{args.root}/labels/rgb_*_labelTrainIds.png")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli  # after parsing: importing rein takes seconds

    run_cli(lambda: main(arguments))
