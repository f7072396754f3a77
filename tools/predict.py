r"""Predict images, folders, videos and cameras with a trained model.

    python tools/predict.py checkpoints/dinov2_segmentor.pth photos drive.mp4
    python tools/predict.py model.onnx "photos/**/night_*.jpg" --save labels --out trainids
    python tools/predict.py checkpoints/dinov2_segmentor.pth 0 --save side   # the first camera

Writes OUT/overlay/NAME.jpg, OUT/labels/NAME.png (trainIds) and OUT/colors/NAME.png for images,
OUT/overlay/NAME.mp4 for videos and, for all, each class's share of the pixels to
OUT/predictions.json. Finished inputs are skipped. Exits with 3 if inputs could not be predicted
(they are listed; the others are), and with 1 on any other error. Ctrl-C ends a camera's
recording.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import command_parser, run_command  # noqa: E402
from rein.errors import UserError  # noqa: E402

KINDS = "overlay", "side", "labels", "colors"  # as in rein.engine.predicting.files


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "model", help="merged segmentor, training checkpoint, folder, hf:REPO, or .onnx file")
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT",
        help="image, video, folder (searched recursively), pattern, or number of a camera")
    parser.add_argument(
        "--out", metavar="DIR",
        help="folder for the outputs; default: predictions/<name of the model>")
    parser.add_argument(
        "--save", nargs="+", choices=KINDS, default=[],
        help="outputs: overlay, side (image and overlay side by side), labels (trainIds), colors; "
             "default: overlay labels colors for images, overlay for videos")
    parser.add_argument("--overwrite", action="store_true", help="predict finished inputs again")
    parser.add_argument(
        "--unsure", type=float, metavar="P",
        help="hatch pixels whose confidence is below P, e.g. 0.5, in overlays: their class is "
             "uncertain")
    parser.add_argument(
        "--frames", type=int, metavar="N", help="stop each video or camera after N frames")
    parser.add_argument(
        "--batch-size", type=int, default=4, metavar="N",
        help="images or frames at a time; default: %(default)s")
    parser.add_argument(
        "--device", help="e.g. cpu or cuda:1; default: the GPU if there is one")
    parser.add_argument(
        "--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto",
        help="default: auto, bfloat16 where it is fast")
    parser.add_argument("--int8", action="store_true", help="frozen backbone in int8, on the CPU")
    parser.add_argument(
        "--config", help="config of a checkpoint that carries none, or to replace its own")
    parser.add_argument(
        "--backbone", metavar="PATH", help="pretrained weights, for a training checkpoint")
    parser.add_argument(
        "--allow-other-backbone", action="store_true",
        help="allow a frozen backbone other than the one the checkpoint was trained with")
    return parser


def main(args: argparse.Namespace) -> int:
    """Predict the inputs; print what was written where, and what could not be read."""
    for name, low, value in (("--batch-size", 1, args.batch_size), ("--frames", 1, args.frames)):
        if value is not None and value < low:
            raise UserError(f"{name} {value}: must be at least {low}.")
    if args.unsure is not None and not 0 <= args.unsure <= 1:
        raise UserError(f"--unsure {args.unsure}: must be from 0 to 1.")
    from rein.engine.predicting.sources import find_sources
    from rein.folders import check_folder

    out = Path(args.out or Path("predictions") / Path(args.model.removeprefix("hf:")).stem)
    check_folder(out)
    sources = find_sources(args.inputs, out)
    from rein.engine.predicting.files import PredictionOptions, predict_files
    from rein.engine.predicting.models import describe_model, load_predictor

    chosen = dict(config=args.config, backbone=args.backbone, precision=args.precision,
                  int8=args.int8)
    model = load_predictor(args.model, device=args.device,
                           allow_other_backbone=args.allow_other_backbone, **chosen)
    print(f"{args.model}: {model!r}")  # with its classes, precision and device
    options = PredictionOptions(
        args.save, args.overwrite, args.unsure, args.batch_size, args.frames)
    predicted = predict_files(
        model, sources, out, options, describe_model(args.model, **chosen))
    if args.unsure is not None:
        print(f"hatched in overlays: pixels whose confidence is below {args.unsure:g}")
    return report(predicted, out)


def report(predicted, out: Path) -> int:
    """Print a summary; return the exit code."""
    for path, reason in predicted.failed:
        print(f"failed: {reason if path in reason else f'{path}: {reason}'}", file=sys.stderr)
    if predicted.unfamiliar:
        (name, shift), count = predicted.unfamiliar[0], len(predicted.unfamiliar)
        print(f"{count} unlike the training images, so less reliable; the furthest: {name} "
              f"({shift:.1f} times the threshold)")
    print(f"{predicted.done} predicted, {predicted.kept} finished before, "
          f"{len(predicted.failed)} failed; results written to {out}")
    if predicted.failed:
        number = f"{len(predicted.failed)} inputs" if len(predicted.failed) > 1 else "1 input"
        print(f"error: {number} could not be predicted", file=sys.stderr)
    return 3 if predicted.failed else 0


if __name__ == "__main__":
    run_command(build_parser(), main)
