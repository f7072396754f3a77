"""What an exported file says about itself: ONNX's key-value metadata, without torch."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rein.errors import UserError

INPUT = "image"
"""Name of the graph's input."""

FEATURES = "features"
"""Name of the second output, (batch, channels), of a graph that carries statistics of them."""

SMALLEST = 32
"""Least side of the images of a graph of any size, in pixels: the stride of its coarsest map."""

IMAGE_FORMAT = (
    "float32 (batch, 3, height, width), RGB, 0 to 255; the graph subtracts mean and divides by std")
"""Layout of the input, as told in the metadata."""


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Facts that a program needs to use an exported file.

    Args:
        kind: "window", predicts crops that slide over an image, or "whole", a whole image.
        output: Name of the graph's output, (batch, classes, height, width): "scores" >= 0 of a
            mask head, or "logits".
        classes: Name of each class.
        palette: RGB of each class, uint8 range.
        window: (H, W) of a window, or of a whole image of fixed size; None: any.
        stride: (H, W) between windows; None for a whole image.
        is_dynamic: Whether the graph takes any height and width.
        resize: Arguments of the test pipeline's `Resize`: `scale`, (width, height) to fit, or
            `scale_factor`, and `keep_ratio`. Empty: images keep their size.
        mean: Mean that the graph subtracts, RGB in [0, 255].
        std: Standard deviation by which it divides.
        temperature: Temperature of the confidence; see `rein.prediction.Prediction`.
        feature_statistics: `FeatureStatistics.to_meta()` of the training images, or None; with
            them, the graph has an output `FEATURES`.
        precision: "fp32", "fp16" or "int8".
        version: Version of this package.
    """

    kind: str
    output: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    window: tuple[int, int] | None
    stride: tuple[int, int] | None
    is_dynamic: bool
    resize: Mapping[str, Any]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    temperature: float
    feature_statistics: Mapping[str, Any] | None
    precision: str
    version: str

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return (self.output,) if self.feature_statistics is None else (self.output, FEATURES)

    def to_props(self) -> dict[str, str]:
        """Return ONNX's metadata: each fact as JSON, and the input's format as text."""
        facts = {f.name: json.dumps(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {f"rein.{name}": value for name, value in facts.items()} | {
            "rein.image": IMAGE_FORMAT}

    @classmethod
    def from_props(cls, props: Mapping[str, str], source: str | Path) -> "Metadata":
        """Read ONNX's metadata.

        Args:
            props: The metadata.
            source: The file, named in messages.

        Raises:
            UserError: The file was not exported by this project, or by another version of it.
        """
        if "rein.kind" not in props:
            raise UserError(f"{source}: carries no metadata of Rein, so its classes and windows "
                            "are unknown. Export the segmentor with tools/export.py.")
        try:
            facts = {field.name: _tuples(json.loads(props[f"rein.{field.name}"]))
                     for field in dataclasses.fields(cls)}
        except (KeyError, ValueError) as error:
            raise UserError(f"{source}: its metadata is of another version "
                            f"({props.get('rein.version', 'unknown')}): {error}. Export the "
                            "segmentor again.") from None
        return cls(**facts)


def _tuples(value: Any) -> Any:
    """Return JSON's lists as tuples, at any depth."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
