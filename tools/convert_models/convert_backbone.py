r"""Convert the released weights of any backbone to a config's names, patch and image size.

    python tools/convert_models/convert_backbone.py checkpoints/eva02_L_pt_m38m_p14to16.pt \
        checkpoints/eva02_L_converted.pth --model EVA2 --img-size 512 --patch-size 16
    python tools/convert_models/convert_backbone.py timm:vit_large_patch16_dinov3.lvd1689m
    python tools/convert_models/convert_backbone.py hf:facebook/dinov2-large OUT \
        --model vit_large_patch14_dinov2

Official files, timm's, Hugging Face's and open_clip's are read, also a folder of Hugging Face's;
tools/list_backbones.py lists the networks and their files. `timm:NAME` and `hf:REPO[/FILE]` use
Hugging Face's cache, and download what it lacks. Files are read as data; nothing in them is
executed.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # works without installation

from rein.cli import command_parser, run_command  # noqa: E402
from rein.errors import UserError  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("source", metavar="SRC", help="file or folder, timm:NAME or hf:REPO[/FILE]")
    parser.add_argument(
        "out", nargs="?", metavar="OUT",
        help="output file; default: the one that a config names, or MODEL_converted.pth")
    parser.add_argument(
        "--model", metavar="NAME",
        help="timm's name, a published type such as EVA2, or a config; default: that of timm:NAME")
    parser.add_argument(
        "--img-size", type=int, nargs="+", metavar="PIXELS",
        help="side length, or height and width; default: the config's, or 512")
    parser.add_argument(
        "--patch-size", type=int, metavar="PIXELS", help="default: the config's, or 16")
    parser.add_argument("--force", action="store_true", help="replace another file at OUT")
    return parser


def main(args: argparse.Namespace) -> None:
    """Convert the weights and print the output path."""
    from rein.engine.weights.backbone_files import convert_backbone

    if args.img_size and len(args.img_size) > 2:
        raise UserError("--img-size takes one or two numbers.")
    size = args.img_size and (args.img_size[0], args.img_size[-1])
    out = convert_backbone(
        args.source, args.out, args.model, size, args.patch_size, overwrite=args.force)
    print(f"converted: {out}")


if __name__ == "__main__":
    run_command(build_parser(), main)
