"""Generate the toy street world: small datasets in the raw formats of the real ones.

Writes OUT/{gta,cityscapes,bdd100k,mapillary,acdc}/ in the layouts of the extracted real datasets.
On request, also writes OUT/{synthia,urbansyn}/ and, for pretraining, OUT/unlabelled/. Existing
files are skipped.

    python tools/make_toy_streets.py data/toy
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import command_parser, run_command  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("out", type=Path, help="output folder for the datasets")
    parser.add_argument("--seed", type=int, default=0, help="seed of the streets; default: 0")
    for name, count, text in (
            ("gta", 160, "GTA images"),
            ("synthia", 0, "SYNTHIA images"),
            ("urbansyn", 0, "UrbanSyn images"),
            ("cityscapes", 24, "Cityscapes val images (plus a few train images)"),
            ("bdd", 24, "BDD100K val images (plus a few train images)"),
            ("mapillary", 24, "Mapillary validation images (plus a few train images)"),
            ("acdc-night", 24, "ACDC night val images (plus a few train and test images)"),
            ("acdc", 6, "the same for each other ACDC condition: fog, rain, snow"),
            ("unlabelled", 0, "unlabelled streets, each in a random look and in fair weather")):
        parser.add_argument(f"--{name}", type=int, default=count, metavar="N",
                            help=f"{text}; default: {count}")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="number of processes; default: one per core")
    return parser


def main(args: argparse.Namespace) -> None:
    """Generate the data and print a summary."""
    from toy.streets.make import make_toy_streets

    counts = {
        "gta": args.gta, "synthia": args.synthia, "urbansyn": args.urbansyn,
        "cityscapes": args.cityscapes, "bdd100k": args.bdd, "mapillary": args.mapillary,
        "acdc_night": args.acdc_night, "acdc_fog": args.acdc, "acdc_rain": args.acdc,
        "acdc_snow": args.acdc, "unlabelled": args.unlabelled}
    summary = make_toy_streets(args.out, counts, args.seed, args.workers)
    print(f"{summary.made} street scenes made, {summary.skipped} already present: {args.out}")


if __name__ == "__main__":
    run_command(build_parser(), main)
