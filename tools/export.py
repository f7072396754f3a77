"""Export a trained segmentor to ONNX, to run without PyTorch.

    python tools/export.py checkpoints/dinov2_segmentor.pth segmentor.onnx

If the config tests in sliding windows, the graph predicts one window, from RGB values in [0, 255]
to the scores of each class; --whole exports a graph for whole images. Classes, colours, windows
and resizing are in the file's metadata. The result is compared with PyTorch before it is written.
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
    parser.add_argument("model", help="merged segmentor, training checkpoint, or hf:OWNER/NAME")
    parser.add_argument("out", help="file to write, ending in .onnx")
    parser.add_argument(
        "--whole", action="store_true", help="export a graph for whole images instead of windows")
    parser.add_argument(
        "--dynamic", action="store_true", help="let height and width of the images vary")
    parser.add_argument(
        "--batch", type=int, metavar="N", help="fix the number of images of a run; default: any")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument(
        "--fp16", action="store_const", dest="precision", const="fp16", default="fp32",
        help="matrix products and convolutions in half precision, for GPUs; half the file")
    kinds.add_argument(
        "--int8", action="store_const", dest="precision", const="int8",
        help="matrix products of the frozen backbone in int8, for CPUs")
    parser.add_argument("--config", help="config file; default: the checkpoint's own")
    parser.add_argument(
        "--backbone", metavar="PATH",
        help="pretrained weights for a training checkpoint; default: the config's file")
    parser.add_argument(
        "--allow-other-backbone", action="store_true",
        help="allow a frozen backbone other than the one the checkpoint was trained with")
    parser.add_argument("--force", action="store_true", help="replace a file at OUT")
    return parser


def main(args: argparse.Namespace) -> None:
    """Export the segmentor; print the output path and how closely it agrees with PyTorch."""
    try:
        import onnx_ir  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"export needs the package {error.name}: pip install 'rein-dgss[onnx]'."
                        ) from None
    from rein.export.exporting import export_segmentor

    done = export_segmentor(
        args.model, args.out, whole=args.whole, dynamic=args.dynamic, batch=args.batch,
        precision=args.precision, overwrite=args.force, config=args.config,
        backbone=args.backbone, allow_other_backbone=args.allow_other_backbone)
    meta = done.metadata
    what = "windows" if meta.kind == "window" else "whole images"
    size = "any size" if args.dynamic else f"{meta.window[1]} x {meta.window[0]} pixels"
    print(f"{what} of {size}, {meta.precision}, {done.megabytes:.1f} MB; {meta.output} differ from "
          f"PyTorch's by {done.difference:.1g} at most, on noise: {done.path}")


if __name__ == "__main__":
    run_command(build_parser(), main)
