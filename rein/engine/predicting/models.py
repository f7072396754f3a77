"""Load any model that `rein predict` takes: checkpoints, folders, Hugging Face's, ONNX files."""

import hashlib
import os
from typing import Any

from rein.engine.predicting.files import Predictor
from rein.errors import UserError
from rein.paths import find_path


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
    """Return a digest of a model's file, which stays when it is moved or touched.

    It also covers the weights of a large ONNX file, which lie beside it.
    """
    if source.endswith(".onnx"):
        path = find_path(source)
    else:
        from rein.engine.weights.downloads import find_segmentor  # imports torch

        path = find_segmentor(source)
    total = hashlib.sha256()  # in hardware: 1.2 GB/s, far less than loading takes
    for part in filter(os.path.isfile, (path, f"{path}.data")):
        with open(part, "rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return f"sha256 {total.hexdigest()[:16]}"
