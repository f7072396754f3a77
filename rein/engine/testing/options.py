"""Options of testing, set by the command line of tools/test.py."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationOptions:
    """How to test a checkpoint, and where to write the reports.

    Args:
        backbone: Pretrained weights, if the checkpoint has none; default: the config's file.
        allow_other_backbone: Accept a frozen backbone that the checkpoint was not trained with.
        protocols: Names from `rein.engine.testing.protocols`; empty: test as the config sets it.
        mode: "slide" or "whole"; default: slide for a protocol, else the config's mode.
        tta: Average over scales and flips.
        raw_weights: Test the raw weights of a training checkpoint instead of their average (EMA).
        int8: Run the frozen backbone in int8; CPU only.
        work_dir: Folder for the log and the reports; default: work_dirs/CHECKPOINT_NAME.
        out: Folder for the reports instead of `work_dir`, and for predictions as trainId PNGs.
        show_dir: Folder for pictures: image, ground truth and prediction side by side.
        force: Replace results of another test, or an existing zip.
        launcher: none, pytorch, slurm or mpi.
    """

    backbone: str | None = None
    allow_other_backbone: bool = False
    protocols: Sequence[str] = ()
    mode: str | None = None
    tta: bool = False
    raw_weights: bool = False
    int8: bool = False
    work_dir: str | None = None
    out: str | None = None
    show_dir: str | None = None
    force: bool = False
    launcher: str = "none"

    def name_of(self, protocol: str) -> str:
        """Name a test by its protocol and options, e.g. "rein_whole_tta"; "" for the default."""
        switches = dict(tta=self.tta, int8=self.int8, raw=self.raw_weights)
        parts = protocol, self.mode, *(name for name, is_on in switches.items() if is_on)
        return "_".join(part for part in parts if part)
