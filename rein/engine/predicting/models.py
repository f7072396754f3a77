"""Load any model that `rein predict` takes: checkpoints, folders, Hugging Face's, ONNX files."""

from datetime import datetime
from pathlib import Path
from typing import Any

from rein.engine.paths import find_path
from rein.engine.predicting.files import Predictor
from rein.errors import UserError


def load_predictor(source: str, **options: Any) -> Predictor:
    """Load a model; an ONNX file is run by ONNX Runtime, without torch.

    Args:
        source: A checkpoint, a folder, "hf:REPO" or a file that ends in .onnx.
        options: Arguments of `rein.load_segmentor`.

    Raises:
        UserError: The model cannot be loaded, or is an ONNX file and an option is set.
    """
    if not source.endswith(".onnx"):
        from rein.api import load_segmentor  # imports torch

        return load_segmentor(source, **options)
    chosen = [name for name, value in options.items() if value not in (None, False, "auto")]
    if chosen:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in chosen)
        raise UserError(f"{source}: {flags} cannot be set for an ONNX file, which has its own "
                        "precision. Choose them in `python tools/export.py`.")
    from rein.export.onnx_predictor import load_onnx

    return load_onnx(source)


def describe_file(source: str) -> str:
    """Describe a model so that another one differs: a file with its size and time of change."""
    path = Path(find_path(source))
    if not path.is_file():
        return source
    status = path.stat()
    changed = datetime.fromtimestamp(status.st_mtime).isoformat(" ")
    return f"{path.resolve()}, {status.st_size} bytes of {changed}"
