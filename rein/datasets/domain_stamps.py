"""Finish pipelines: stamp each sample's domain, add checks, replace slow steps."""

from typing import Any

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from rein.datasets.domains import Origin, domain_of_root
from rein.datasets.fast_mmseg_transforms import faster
from rein.datasets.sample_checks import checked
from rein.datasets.wrappers import datasets_inside


@TRANSFORMS.register_module()
class StampDomain(BaseTransform):
    """Write the domain into each sample's metainfo; the last step of a pipeline, after packing.

    Args:
        domain (str): The domain, for example "citys".
        pixels_changed (bool): Also note that a step changed the pixels of the image, so that
            pictures show the changed image instead of its file.
    """

    def __init__(self, domain: str, pixels_changed: bool = False):
        self.domain = domain
        self.pixels_changed = pixels_changed

    def transform(self, results: dict) -> dict:
        """Stamp `results["data_samples"]`, one sample or a list of augmented ones."""
        meta = dict(domain=self.domain)
        if self.pixels_changed:
            meta["pixels_changed"] = True
        samples = results.get("data_samples", [])  # absent if a wrapper packs later
        for sample in samples if isinstance(samples, list) else [samples]:
            sample.set_metainfo(meta)
        return results

    def __repr__(self):
        return f"{type(self).__name__}(domain={self.domain!r})"


def stamped_domain(dataset: Any) -> str | None:
    """Return the domain that a dataset stamps on its samples, or None."""
    steps = getattr(getattr(dataset, "pipeline", None), "transforms", ())
    return next((step.domain for step in steps if isinstance(step, StampDomain)), None)


def finish_pipeline(dataset: Any, domain: str) -> None:
    """Speed up a dataset's pipeline, add checks and stamp the domain last, in place."""
    labels = dict(
        num_classes=len(dataset.metainfo.get("classes") or ()),
        ignore_index=getattr(dataset, "ignore_index", 255),
        label_values=getattr(dataset, "label_values", None),
    )
    origin = Origin(domain, dataset.data_root)
    transforms = faster(dataset.pipeline.transforms)
    changed = any(getattr(step, "changes_pixels", False) for step in transforms)
    steps = [checked(step, origin, **labels) for step in transforms]
    dataset.pipeline.transforms = [*steps, StampDomain(domain, changed)]


def stamp_domains(dataset: Any) -> None:
    """Infer missing domains from each dataset's `data_root`, in place.

    Covers mmseg's own datasets, such as the `CityscapesDataset` of published configs, and gives
    them the same checks as `UrbanSceneDataset`.

    Args:
        dataset: A dataset, or a wrapper such as mmengine's ConcatDataset, nested to any depth.
    """
    for leaf in datasets_inside(dataset):
        if stamped_domain(leaf) is None:
            finish_pipeline(leaf, domain_of_root(leaf.data_root))
