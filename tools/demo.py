"""Try a segmentor on a web page of this machine.

    python tools/demo.py checkpoints/dinov2_segmentor.pth
    python tools/demo.py hf:OWNER/NAME --examples photographs --port 7900

Drop an image or a short video, or pick an example of each test domain whose data exists here. The
page shows the classes, the confidence and the same image in fog, snow, noise and more. It listens
on 127.0.0.1 alone. Stop it with Ctrl+C.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import command_parser, run_command  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("model", help="segmentor: a file, a folder, an ONNX file, or hf:OWNER/NAME")
    parser.add_argument("--config", help="config file; default: the one that the model carries")
    parser.add_argument(
        "--backbone", metavar="PATH",
        help="pretrained weights for a training checkpoint; default: the config's file")
    parser.add_argument(
        "--examples", metavar="DIR",
        help="folder of images, in subfolders by domain; default: test data of the config")
    parser.add_argument("--port", type=port, help="port; default: the first free one from 7860 on")
    parser.add_argument("--device", help="such as cpu or cuda:1; default: the first GPU, if any")
    parser.add_argument(
        "--precision", default="auto", choices=["auto", "fp32", "bf16", "fp16"],
        help="default: bf16 where the device computes in it, else fp32")
    return parser


def port(text: str) -> int:
    """Return a TCP port from 1 to 65535."""
    if text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text}: expected a number from 1 to 65535")


def main(args: argparse.Namespace) -> None:
    """Load the model and serve the page until Ctrl+C."""
    from rein.web.demo import run_demo

    run_demo(
        args.model, config=args.config, backbone=args.backbone, examples=args.examples,
        port=args.port, device=args.device, precision=args.precision)


if __name__ == "__main__":
    run_command(build_parser(), main)
