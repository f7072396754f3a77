"""Share a merged segmentor on the Hugging Face Hub, with a model card.

    python tools/push.py checkpoints/dinov2_segmentor.pth OWNER/NAME
    python tools/push.py checkpoints/dinov2_segmentor.pth OWNER/NAME --dry-run --out shared

Uploads model.safetensors, which carries its config, and README.md. The card has the results of
tools/test.py that tested these weights: those beside the model, or --report. Log in once with
`hf auth login`.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import command_parser, run_command  # noqa: E402
from rein.errors import UserError  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("model", help="merged segmentor that carries its config")
    parser.add_argument("repo", help="repository OWNER/NAME, created if missing")
    parser.add_argument(
        "--report", nargs="+", metavar="PATH", dest="reports",
        help="results.json of tools/test.py, or their folders; default: those beside the model "
             "that tested these weights")
    parser.add_argument(
        "--private", action="store_true", help="create the repository as private")
    parser.add_argument(
        "--dry-run", action="store_true", help="write the folder --out without uploading it")
    parser.add_argument("--out", metavar="DIR", help="keep the folder that is uploaded here")
    return parser


def main(args: argparse.Namespace) -> None:
    """Write the folder, upload it and print where it is."""
    if args.dry_run and not args.out:
        raise UserError("--dry-run writes a folder: name it with --out DIR.")
    from rein.engine.sharing import build_folder, push

    if args.dry_run:
        runs, where = build_folder(args.model, args.repo, args.out, args.reports), args.out
    else:
        where, runs = push(
            args.model, args.repo, reports=args.reports, private=args.private, out=args.out)
    if not runs:
        print("no report of a test of these weights: the card has no results (--report PATH)")
    for run in runs:
        print(f"results in the card: {run.folder}")
    print(f"{'written to' if args.dry_run else 'shared as'} {where}: "
          f'rein.load_segmentor("{where if args.dry_run else f"hf:{args.repo}"}")')


if __name__ == "__main__":
    run_command(build_parser(), main)
