"""List backbones: name, size, parameters, memory, released file, licence.

    python tools/list_backbones.py
    python tools/list_backbones.py dinov3 large
    python tools/list_backbones.py --markdown > backbones.md

Convert a file with `tools/convert_models/convert_backbone.py`. Nothing is downloaded, and the
networks take no memory.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD", help="list only names with each WORD")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    """Print the table."""
    from rein.engine.backbone_table import TITLES, describe_backbone, markdown, select

    rows = map(describe_backbone, select(args.words))
    if args.markdown:
        print(markdown(rows))
        return
    for row in rows:
        print(row.model)
        for title, value in zip(TITLES, row, strict=True):
            if value != row.model:
                print(f"  {title:<28} {value}")


if __name__ == "__main__":
    arguments = parse_args()
    from rein.cli import run_cli

    run_cli(lambda: main(arguments))
