r"""Convert Mapillary Vistas v1.2 labels to Cityscapes classes.

Writes OUT/{train,val}/label/*.png. Both published layouts are understood: config.json with
<split>/labels, and config_v1.2.json with <split>/v1.2/labels.

    python tools/convert_datasets/mapillary2cityscape.py data/mapillary \
        data/mapillary/cityscapes_trainIdLabel --train_id
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder that the dataset was extracted to")
    parser.add_argument("out", type=Path, help="folder for the converted labels")
    parser.add_argument(
        "--train_id", "--train-id", action="store_true",
        help="write trainIds, 255 where ignored; by default Cityscapes label ids, 0 there")
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
    from rein.datasets.converters.mapillary import convert_mapillary

    report = convert_mapillary(
        args.root, args.out, train_ids=args.train_id, workers=args.workers,
        overwrite=args.overwrite)
    return summarize(report, f"{args.out}/{{train,val}}/label/*.png")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli  # after parsing: importing rein takes seconds

    run_cli(lambda: main(arguments))
