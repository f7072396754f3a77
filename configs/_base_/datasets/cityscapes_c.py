"""Cityscapes-C: the validation images in 16 corruptions of 5 severities, made while loading.

The corruptions need extra libraries, see docs/datasets.md. To cache the corrupted images, set the
environment variable REIN_CORRUPTION_CACHE to a folder.
"""

_base_ = []  # has to precede the import: mmengine then reads this file as a plain config
from rein.datasets.descriptions import cityscapes, dataset_config


def _val(corruption, severity):
    cfg = dataset_config("val_cityscapes", protocol="rein")
    load, *others = cfg["pipeline"]
    corrupt = dict(type="Corrupt", corruption=corruption, severity=severity)  # at full size
    return dict(
        cfg, domain=f"citys_{corruption}_{severity}", pipeline=[load, corrupt, *others])


corruptions = list(cityscapes.CORRUPTIONS)
val_cityscapes_c = [
    _val(name, severity) for name in corruptions for severity in cityscapes.SEVERITIES]
