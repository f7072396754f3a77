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

from rein.cli import command_parser, run_command  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="list only names with each WORD")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    return parser


def main(args: argparse.Namespace) -> None:
    """Print the table."""
    from rein.engine.weights.backbone_table import TITLES, describe_backbone, markdown, select

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
    run_command(build_parser(), main)
