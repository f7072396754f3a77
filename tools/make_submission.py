"""Pack predictions for an evaluation server, or check a zip against the server's rules.

    python tools/make_submission.py acdc work_dirs/NAME/acdc_predictions acdc.zip
    python tools/make_submission.py cityscapes my.zip --images data/cityscapes/leftImg8bit/test

`tools/test.py CONFIG CHECKPOINT --submission acdc` predicts, packs and checks in one go. Exits
with 1 if the server would reject the zip.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import command_parser, input_path, run_command  # noqa: E402
from rein.errors import UserError  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("server", choices=["acdc", "cityscapes"])
    parser.add_argument(
        "source", type=input_path,
        help="folder of trainId PNGs, searched recursively, or a zip to check")
    parser.add_argument("out", type=Path, nargs="?", help="zip to write if SOURCE is a folder")
    parser.add_argument(
        "--images", type=input_path, metavar="DIR",
        help="the server's test images, to check that each has a prediction")
    return parser


def main(args: argparse.Namespace) -> int:
    """Pack a folder, check the zip and print the result."""
    if args.source.is_dir() != (args.out is not None):
        raise UserError(
            "give OUT if SOURCE is a folder of predictions, and omit it if it is a zip.")
    from rein.evaluation.submission import check_submission, make_submission, submission_text

    path = args.source
    if args.out:
        if args.out.exists():
            raise UserError(f"{args.out}: already exists. Remove it or choose another name.")
        path = make_submission(sorted(args.source.rglob("*.png")), args.server, args.out)
    images = [image.stem for image in args.images.rglob("*.png")] if args.images else []
    if args.images and not images:
        raise UserError(f"{args.images}: no PNG images. Give the folder of the test images.")
    problems = check_submission(path, args.server, images)
    print(submission_text(path, args.server, problems))
    return 1 if problems else 0


if __name__ == "__main__":
    run_command(build_parser(), main)
