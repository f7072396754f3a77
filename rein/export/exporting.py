"""Export a trained segmentor to an ONNX file; the function behind tools/export.py."""

import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch

import rein
from rein.api import Segmentor, load_segmentor
from rein.atomic_files import naming_failures
from rein.datasets.dataset_configs import leaf_datasets, type_name
from rein.errors import UserError
from rein.export.graph import RawSegmentor, trace
from rein.export.metadata import INPUT, Metadata
from rein.export.precision import halve_products, quantize_file, split_gemms
from rein.models.segmentors.pixels import gives_scores
from rein.values import COUNT, check_value

LARGE = 1_900_000_000
"""Bytes of weights above which they get a file of their own: protobuf's limit is 2 GiB."""

TOLERANCE = 1e-3
"""Largest difference from PyTorch, relative to the largest output, that is no error."""


class Exported(NamedTuple):
    """An exported file.

    Attributes:
        path: The file; weights above 2 GB lie beside it, in `<name>.data`.
        metadata: Its metadata.
        difference: Largest difference of its scores or logits from PyTorch's, for an image of
            noise.
        megabytes: Size, weights included.
    """

    path: Path
    metadata: Metadata
    difference: float
    megabytes: float


def export_segmentor(
    source: str | Path | Segmentor,
    out: str | Path,
    *,
    whole: bool = False,
    dynamic: bool = False,
    batch: int | None = None,
    precision: str = "fp32",
    overwrite: bool = False,
    **options: Any,
) -> Exported:
    """Export a segmentor to ONNX, compare it with PyTorch, and write it atomically.

    Weights above 2 GB are a file of their own, moved just before the graph: if the process is
    killed in between, an old graph lies beside new weights. Then export again.

    Args:
        source: A segmentor in float32 on the CPU, or as for `load_segmentor`.
        out: The file to write, ending in .onnx.
        whole: Export a graph for whole images, even if the config tests in sliding windows.
        dynamic: Let height and width vary.
        batch: Number of images of each run; None: any.
        precision: "fp32"; "fp16": matrix products and convolutions in half precision, and half the
            file; "int8": matrix products of the frozen backbone in int8, for CPUs.
        overwrite: Replace an existing file.
        **options: Passed to `load_segmentor`.

    Raises:
        UserError: The file exists or its name ends otherwise, `batch` is below 1, or the segmentor
            cannot be exported; the message gives the reason.
    """
    if batch is not None:
        check_value("export", "batch", batch, COUNT)
    out = Path(out)
    if out.suffix != ".onnx":
        raise UserError(f"{out}: end the name of the output in .onnx.")
    for path in (out, _weights(out)):
        if path.exists() and not overwrite:
            raise UserError(f"{path}: exists already. Choose another name, or pass --force.")
    given = isinstance(source, Segmentor)
    segmentor = source if given else load_segmentor(
        source, device="cpu", precision="fp32", **options)
    _in_float32(segmentor.model)
    _refuse(segmentor, dynamic)
    metadata = describe(segmentor, whole, dynamic, precision)
    size = metadata.window or (256, 256)
    model = RawSegmentor(segmentor.model).eval()
    try:
        with torch.no_grad():
            graph = trace(model, size, dynamic, batch, metadata.outputs)
    except UserError as error:
        raise UserError(f"{'the segmentor' if given else source}: {error}") from error
    graph.metadata_props.update(metadata.to_props())
    with naming_failures(out, "Make room or choose another folder, then try again."):
        difference, megabytes = _write_and_compare(graph, model, size, batch, metadata, out)
    return Exported(out, metadata, difference, megabytes)


def _write_and_compare(
    graph: ir.Model, model: RawSegmentor, size: tuple[int, int], batch: int | None,
    metadata: Metadata, out: Path,
) -> tuple[float, float]:
    """Write a graph beside `out`, compare it with PyTorch, and move it there.

    Returns:
        Largest difference, and size in MB.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.stem}.", dir=out.parent) as folder:
        written = _write(graph, Path(folder), out.name, metadata.precision)
        difference = _compare(model, written, size, batch, metadata)
        files = sorted(Path(folder).glob(f"{out.name}*"), reverse=True)  # weights first
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        for file in files:
            os.replace(file, out.with_name(file.name))
    if files[0].name != _weights(out).name:  # those of a large file that was replaced
        _weights(out).unlink(missing_ok=True)
    return difference, megabytes


def _weights(out: Path) -> Path:
    """Return where the weights of a large file lie."""
    return out.with_name(f"{out.name}.data")


def describe(segmentor: Segmentor, whole: bool, dynamic: bool, precision: str) -> Metadata:
    """Collect the facts about an exported segmentor.

    Raises:
        UserError: The test pipeline resizes in a way that the predictor does not know, or a whole
            image of fixed size has none.
    """
    model = segmentor.model
    test_cfg, prepare = model.test_cfg, model.data_preprocessor
    slides = not whole and test_cfg.get("mode") == "slide"
    resize = _resize(model.cfg)
    window = stride = None
    if slides:
        window, stride = tuple(test_cfg.crop_size), tuple(test_cfg.stride)
    elif not dynamic:
        if "scale" not in resize:
            raise UserError("the test pipeline resizes images to no common size, so a graph for "
                            "whole images needs any size: pass --dynamic.")
        window = tuple(reversed(resize["scale"]))
    return Metadata(
        kind="window" if slides else "whole",
        output="scores" if gives_scores(model.decode_head) else "logits",
        classes=segmentor.classes, palette=segmentor.palette, window=window, stride=stride,
        is_dynamic=dynamic, resize=resize, mean=tuple(prepare.mean.flatten().tolist()),
        std=tuple(prepare.std.flatten().tolist()), temperature=float(model.temperature),
        feature_statistics=model.statistics and model.statistics.to_meta(),
        precision=precision, version=rein.__version__)


def _resize(cfg: Any) -> dict[str, Any]:
    """Return the arguments of the test pipeline's `Resize`; empty if there is none."""
    dataset = leaf_datasets(cfg.get("test_dataloader", {}).get("dataset", {}))[0]
    found = {}
    for step in dataset.get("pipeline", []):
        kind = type_name(step)
        if kind == "Resize":
            found = {key: step[key] for key in ("scale", "scale_factor", "keep_ratio")
                     if step.get(key) is not None}
            other = sorted(step.keys() - {"type", *found})
            if other:
                raise UserError(f"the test pipeline's Resize has {', '.join(other)}, which the "
                                "predictor without PyTorch does not know. Remove it.")
        elif not kind.startswith(("Load", "Pack")) and kind != "Corrupt":
            raise UserError(f"the test pipeline has a step {kind}, which the predictor without "
                            "PyTorch does not know. Remove it from the config.")
    if isinstance(found.get("scale"), int):
        raise UserError("the test pipeline's Resize has one number as its scale; the predictor "
                        "without PyTorch needs (width, height).")
    return found


def _in_float32(model: Any) -> None:
    """Let a model compute in float32 alone."""
    model.precision = "fp32"
    backbone = model.backbone
    if getattr(backbone, "frozen_dtype", torch.float32) is not torch.float32:
        backbone.frozen_dtype = torch.float32
        backbone.apply_frozen_dtype()


def _refuse(segmentor: Segmentor, dynamic: bool) -> None:
    """Raise if a segmentor is known not to work as a graph."""
    model = segmentor.model
    if model.out_channels != len(segmentor.classes):
        raise UserError(f"the head has {model.out_channels} classes, but the checkpoint names "
                        f"{len(segmentor.classes)}. Add `dataset_meta` with classes and palette to "
                        "its meta, as training does.")
    if model.align_corners:
        raise UserError("the head has align_corners=True, which the predictor without PyTorch does "
                        "not know.")
    if not hasattr(model.data_preprocessor, "mean"):
        raise UserError("model.data_preprocessor has no mean, so the range of its images is "
                        "unknown. Set mean and std in the config.")
    if model.data_preprocessor.test_cfg:
        raise UserError("model.data_preprocessor.test_cfg pads images in testing, which the "
                        "predictor without PyTorch does not do. Remove it from the config.")
    only = getattr(model.backbone, "only_size", None)
    if dynamic and only:
        raise UserError(f"{type(model.backbone.model).__name__} takes images of "
                        f"{only[1]} x {only[0]} pixels only. Omit --dynamic.")


def _write(graph: ir.Model, folder: Path, name: str, precision: str) -> Path:
    """Write a graph to a folder in a precision; return the file."""
    if precision == "fp16":
        halve_products(graph.graph)
    if precision == "int8":
        split_gemms(graph.graph)
    weights = sum(value.const_value.nbytes for value in graph.graph.initializers.values())
    path = folder / (name if precision != "int8" else f"float.{name}")
    ir.save(graph, path, external_data=_weights(path).name if weights > LARGE else None)
    if precision != "int8":
        return path
    quantize_file(path, folder / name, weights > LARGE)
    return folder / name


@torch.no_grad()
def _compare(
    model: RawSegmentor, path: Path, size: tuple[int, int], batch: int | None, metadata: Metadata,
) -> float:
    """Return the largest difference between a file's outputs and PyTorch's.

    Raises:
        UserError: A file in float32 computes something else, or any file no finite numbers.
    """
    image = np.random.default_rng(0).uniform(0, 255, (batch or 1, 3, *size)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    differences = []
    for found, tensor in zip(
            session.run(None, {INPUT: image}), model(torch.from_numpy(image)), strict=True):
        expected = tensor.numpy()
        differences.append(float(np.abs(found - expected).max()))
        limit = TOLERANCE * max(float(np.abs(expected).max()), 1.0)
        if (not np.isfinite(found).all()
                or metadata.precision == "fp32" and differences[-1] > limit):
            raise UserError(f"the exported graph differs from PyTorch by {differences[-1]:.2g}, "
                            f"more than {limit:.2g}, so it was not written.")
    return differences[0]
