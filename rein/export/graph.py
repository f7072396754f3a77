"""Trace a segmentor to an ONNX graph with `torch.export`, without TorchScript."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence

import rein.compat  # noqa: F401  before timm

import onnx_ir as ir
import timm.layers.pos_embed
import torch
from onnxscript import optimizer
from torch import Tensor, nn

from rein.errors import UserError, one_line
from rein.export.metadata import INPUT, SMALLEST

OPSET = 18
"""Version of ONNX's operators: the first with antialiased resizing; TensorRT 8.6 reads it."""

AXES = {0: "batch", 2: "height", 3: "width"}
"""Names of the axes that may vary."""


class RawSegmentor(nn.Module):
    """A segmentor from RGB images to scores or logits, and features, with its normalisation.

    Args:
        segmentor: A model in evaluation mode.
    """

    def __init__(self, segmentor: nn.Module) -> None:
        super().__init__()
        self.segmentor = segmentor

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Predict images (B, 3, H, W), RGB in [0, 255].

        Returns:
            (B, classes, H, W), and features (B, C) if the segmentor has `statistics` of them.
        """
        prepare = self.segmentor.data_preprocessor
        if not prepare._channel_conversion:  # pipelines give BGR; the network takes it
            image = image.flip(1)
        image = (image - prepare.mean) / prepare.std
        outputs, features = self.segmentor.decode_with_features(
            image, [dict(img_shape=image.shape[-2:])])
        return (outputs,) if features is None else (outputs, features)


def trace(
    model: RawSegmentor, size: tuple[int, int], is_dynamic: bool, batch: int | None,
    outputs: Sequence[str],
) -> ir.Model:
    """Convert a model to an ONNX graph.

    Args:
        model: The model, on the CPU, in float32.
        size: (H, W) of its images.
        is_dynamic: Whether images may have any size.
        batch: Number of images; None: any.
        outputs: Names of the outputs.

    Raises:
        UserError: Some part of the model cannot be exported.
    """
    if is_dynamic:  # sides that are no multiples, so that nothing is specialised to them
        size = tuple(side + 21 + 2 * axis for axis, side in enumerate(size))
    # torch's named `Dim`s refuse what they cannot prove; `Dim.DYNAMIC` refuses only constants
    dims = {} if batch else {0: torch.export.Dim.DYNAMIC(min=1, max=4096)}
    if is_dynamic:
        dims |= dict.fromkeys((2, 3), torch.export.Dim.DYNAMIC(min=SMALLEST, max=16384))
    example = torch.zeros(batch or 2, 3, *size)
    with _quiet(), contextlib.nullcontext() if is_dynamic else _fixed_positions():
        try:
            program = torch.export.export(
                model, (example,), dynamic_shapes=({k: dims[k] for k in sorted(dims)},),
                strict=False)
            exported = torch.onnx.export(
                program, dynamo=True, opset_version=OPSET, input_names=[INPUT],
                output_names=list(outputs), verbose=False, optimize=False)
        except UserError:
            raise
        except Exception as error:  # any operator or condition that torch cannot convert
            raise UserError(f"cannot be exported to ONNX{' at any size' * is_dynamic}: "
                            f"{one_line(error)}") from error
        # runtimes match and fuse patterns themselves; here that would take half of the time
        optimizer.inline(exported.model)
        optimizer.fold_constants(exported.model)
        optimizer.remove_unused_nodes(exported.model)
    _name_axes(exported.model.graph, dims)
    return exported.model


def _name_axes(graph: ir.Graph, dims: dict) -> None:
    """Name the varying axes of input and output; forget sizes computed from torch's symbols."""
    for node in graph:
        for value in node.outputs:
            if value not in graph.outputs:
                value.shape = None
    for value in (*graph.inputs, *graph.outputs):
        value.shape = ir.Shape([
            AXES[axis] if axis in dims else side for axis, side in enumerate(value.shape)])


@contextlib.contextmanager
def _fixed_positions() -> Iterator[None]:
    """Let timm use position embeddings as they are where the image has their size.

    Under an export it resamples them in the graph, for any size, on every run.
    """
    module = timm.layers.pos_embed
    before = getattr(module, "is_exporting", None)
    if before is not None:  # from timm 1.0.2x on
        module.is_exporting = lambda: False
    try:
        yield
    finally:
        if before is not None:
            module.is_exporting = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's and onnxscript's notes on symbols and constants."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
