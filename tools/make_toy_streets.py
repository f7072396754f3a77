"""Make the toy street world: small data sets in the raw formats of the real ones.

Writes OUT/{gta,cityscapes,bdd100k,mapillary,acdc}/ as the real data lie on disk after extraction,
where asked for also OUT/{synthia,urbansyn}/ and, for pretraining, OUT/unlabelled/. What exists is
skipped.

    python tools/make_toy_streets.py data/toy
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder that receives the data sets")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other streets")
    for name, count, what in (
            ("gta", 160, "GTA images"),
            ("synthia", 0, "SYNTHIA images"),
            ("urbansyn", 0, "UrbanSyn images"),
            ("cityscapes", 24, "Cityscapes val images (and a few to train)"),
            ("bdd", 24, "BDD100K val images (and a few to train)"),
            ("mapillary", 24, "Mapillary validation images (and a few to train)"),
            ("acdc-night", 24, "ACDC night val images (and a few to train and test)"),
            ("acdc", 6, "the same of each other ACDC condition: fog, rain, snow"),
            ("unlabelled", 0, "streets without labels, in all looks and again in fair weather")):
        parser.add_argument(f"--{name}", type=int, default=count, metavar="N",
                            help=f"{what}; default: {count}")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes; default: one per core")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Make the data, and print what was written where."""
    from toy.streets.make import make_toy_streets

    counts = {
        "gta": args.gta, "synthia": args.synthia, "urbansyn": args.urbansyn,
        "cityscapes": args.cityscapes, "bdd100k": args.bdd, "mapillary": args.mapillary,
        "acdc_night": args.acdc_night, "acdc_fog": args.acdc, "acdc_rain": args.acdc,
        "acdc_snow": args.acdc, "unlabelled": args.unlabelled}
    summary = make_toy_streets(args.out, counts, args.seed, args.workers)
    print(f"{summary.made} street scenes made, {summary.skipped} there already: {args.out}")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli  # after parsing: importing rein takes seconds

    run_cli(lambda: main(arguments))
