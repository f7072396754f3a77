"""Run training or testing in several processes, one per GPU.

    python tools/launch.py train 4 CONFIG [arguments of tools/train.py]

On several machines, run it on each and set NNODES, NODE_RANK, MASTER_ADDR and PORT. Used by
tools/dist_*.sh and tools/slurm_*.sh.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # works without installation

from rein.cli import command_parser, run_command  # noqa: E402


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser(__doc__)
    parser.add_argument(
        "tool", choices=["train", "test", "train.py", "test.py"], help="the tool")
    parser.add_argument("processes", type=int, help="processes on this machine, one per GPU")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the tool")
    return parser


def main(args: argparse.Namespace) -> int:
    """Run the tool; return its exit code."""
    from rein.engine.training.launching import launch

    tool = Path(__file__).with_name(args.tool).with_suffix(".py")
    return launch(str(tool), args.processes, args.arguments)


if __name__ == "__main__":
    run_command(build_parser(), main)
