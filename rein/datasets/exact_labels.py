"""Load label files with the values and the shape that they have on disk."""

import rein.compat  # noqa: F401  before mmseg

import mmcv
import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations

_PNG_START = b"\x89PNG\r\n\x1a\n"
_BITS, _COLOUR_TYPE, _GREY = 24, 25, 0  # positions in a PNG, and one value


class WrongLabel(ValueError):
    """A file that decodes, but is not a map of one class per pixel."""


class LoadExactLabels(LoadAnnotations):
    """mmseg's `LoadAnnotations`, refusing values that do not fit into 8 bits.

    mmseg's converts them modulo 256, so that 256 becomes class 0, and drops sides of one pixel. The
    arguments are the same.
    """

    def _load_seg_map(self, results: dict) -> None:
        content = fileio.get(results["seg_map_path"], backend_args=self.backend_args)
        self._refuse_stretched(content)
        seg_map = _in_8_bits(
            mmcv.imfrombytes(content, flag="unchanged", backend=self.imdecode_backend))
        if self.reduce_zero_label is None:
            self.reduce_zero_label = results["reduce_zero_label"]
        if self.reduce_zero_label != results["reduce_zero_label"]:
            raise ValueError(
                f"reduce_zero_label is {results['reduce_zero_label']} in the dataset, but "
                f"{self.reduce_zero_label} in LoadAnnotations")
        table = np.arange(256, dtype=np.uint8)
        if self.reduce_zero_label:
            table = np.array([255, *range(254), 255], np.uint8)  # the ignored 255 stays
        renamed = np.arange(256, dtype=np.uint8)
        for old, new in (results.get("label_map") or {}).items():
            renamed[old] = new
        if self.reduce_zero_label or results.get("label_map"):
            seg_map = renamed[table][seg_map]
        results["gt_seg_map"] = seg_map
        results["seg_fields"].append("gt_seg_map")

    def _refuse_stretched(self, content: bytes) -> None:
        """Refuse a grey PNG of few bits: decoders stretch its values to 0-255."""
        stretched = (2, 4) if self.imdecode_backend == "pillow" else (1, 2, 4)
        if content.startswith(_PNG_START) and content[_COLOUR_TYPE:_COLOUR_TYPE + 1] == \
                bytes([_GREY]) and content[_BITS] in stretched:
            raise WrongLabel(
                f"the label is a grey PNG of {content[_BITS]} bits, whose values are stretched to "
                "0-255 when decoded. Save it with 8 bits or a palette.")


def _in_8_bits(decoded: np.ndarray | None) -> np.ndarray:
    """Return a decoded label as uint8 (H, W); the values stay as they are.

    Raises:
        WrongLabel: The label has several channels, no integers, or values outside 0-255.
        ValueError: Nothing was decoded.
    """
    if decoded is None:
        raise ValueError("not an image")
    if decoded.ndim == 3 and decoded.shape[2] == 1:
        decoded = decoded[..., 0]
    if decoded.ndim != 2:
        raise WrongLabel(f"the label has {decoded.shape[-1]} colour channels, but one class per "
                         "pixel is expected.")
    if decoded.dtype.kind not in "bui":
        raise WrongLabel(
            f"the label has values of type {decoded.dtype}, but integers are expected.")
    if decoded.dtype.itemsize > 1:
        outside = decoded[(decoded < 0) | (decoded > 255)]
        if outside.size:
            raise WrongLabel(f"label values {values_text(outside)}, but at most 255 is possible.")
    return decoded.astype(np.uint8)


def values_text(values: np.ndarray) -> str:
    """List the distinct values of an array, at most eight."""
    found = np.unique(values)
    return ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")
