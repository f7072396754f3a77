"""The options of testing, which tools/test.py takes from its command line."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationOptions:
    """How a checkpoint is tested, and where the reports go.

    Args:
        backbone: Pretrained weights, for a checkpoint without; default: what the config names.
        allow_other_backbone: Test with another frozen backbone than the checkpoint's.
        protocols: Of `rein.engine.testing.protocols`; none: as the config has it.
        mode: "slide" or "whole"; default: the config's, and slide for a protocol.
        tta: Average over scales and flips.
        int8: Let the frozen backbone compute in int8; on a CPU only.
        work_dir: Folder for the log and the reports; default: work_dirs/ and the checkpoint's name.
        out: Folder for the reports instead, and the predictions as trainId PNGs.
        show_dir: Folder for pictures: image, truth and prediction side by side.
        force: Replace results of another test, or a zip.
        launcher: none, pytorch, slurm or mpi.
    """

    backbone: str | None = None
    allow_other_backbone: bool = False
    protocols: Sequence[str] = ()
    mode: str | None = None
    tta: bool = False
    int8: bool = False
    work_dir: str | None = None
    out: str | None = None
    show_dir: str | None = None
    force: bool = False
    launcher: str = "none"

    def name_of(self, protocol: str) -> str:
        """Name a test by its protocol and options, e.g. "rein_whole_tta"; "" for the default."""
        parts = protocol, self.mode, "tta" if self.tta else "", "int8" if self.int8 else ""
        return "_".join(part for part in parts if part)
