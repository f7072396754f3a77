"""Load any model that `rein predict` takes: checkpoints, folders, Hugging Face's, ONNX files."""

import hashlib
import os
from collections.abc import Iterable, Iterator
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


def describe_model(
    source: str, *, config: str | None = None, backbone: str | None = None,
    precision: str = "auto", int8: bool = False,
) -> dict[str, Any]:
    """Return what distinguishes a model's predictions from another's; see `load_predictor`.

    Files are described by their content, configs after inheritance.
    """
    values = None
    if config:
        from rein.engine.configs.reading import read_config  # imports mmseg

        values = _digest([repr(read_config(config).to_dict()).encode()])
    return dict(
        model=describe_file(source), int8=int8, config=values,
        backbone=describe_file(backbone) if backbone else None,
        precision=None if precision == "auto" else precision)


def describe_file(source: str) -> str:
    """Return a digest of a model's file, which stays when it is moved or touched.

    It also covers the weights of a large ONNX file, which lie beside it.
    """
    if source.endswith(".onnx"):
        path = find_path(source)
    else:
        from rein.engine.weights.downloads import find_segmentor  # imports torch

        path = find_segmentor(source)
    return _digest(_blocks(path, f"{path}.data"))


def _blocks(*paths: str) -> Iterator[bytes]:
    """Read the files that exist, 1 MB at a time."""
    for path in filter(os.path.isfile, paths):
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                yield block


def _digest(blocks: Iterable[bytes]) -> str:
    total = hashlib.sha256()  # in hardware: 1.2 GB/s, far less than loading takes
    for block in blocks:
        total.update(block)
    return f"sha256 {total.hexdigest()[:16]}"
