"""Describe weight files: kind, architecture, sizes, config, fingerprint, next step.

    python tools/inspect_checkpoint.py checkpoints/dinov2_vitl14_pretrain.pth
    python tools/inspect_checkpoint.py checkpoints/*.pth --json

Files are read as data; nothing in them is executed.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import as_typed, command_parser, run_command  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help=".pth or .safetensors")
    parser.add_argument("--keys", action="store_true", help="also list every weight's shape")
    parser.add_argument("--json", action="store_true", help="print JSON, one object per file")
    return parser


def main(args: argparse.Namespace) -> None:
    """Describe each file; skip unreadable ones, and raise an error for them at the end."""
    from rein.checkpoint import load_file, state_dict_of
    from rein.checkpoint.description import describe
    from rein.errors import UserError
    from rein.paths import find_path

    unreadable = []
    for path in args.files:
        try:
            content = load_file(find_path(path))
        except UserError as error:
            unreadable.append(str(error))
            continue
        rows = describe(content, path)
        shapes = {k: tuple(v.shape) for k, v in sorted(state_dict_of(content).items())}
        if args.json:
            print(json.dumps(dict(file=path, **rows, **(dict(keys=shapes) if args.keys else {}))))
            continue
        print(path)
        for title, value in rows.items():
            print(as_typed(f"  {title:<13} {value}"))
        for name, shape in shapes.items() if args.keys else ():
            print(f"    {name} {shape}")
    if unreadable:
        raise UserError("; ".join(unreadable))


if __name__ == "__main__":
    run_command(build_parser(), main)
