"""ACDC in its four conditions; folders and facts: rein/datasets/descriptions/acdc.py.

The test images have no labels; the benchmark's server evaluates their predictions.
"""

_base_ = []  # must precede the import, so that mmengine reads this file as a plain config
from rein.datasets.descriptions import dataset_config, eval_pipeline


def _val(condition):  # at half size, like Cityscapes for 512 models
    return dict(dataset_config(f"val_acdc_{condition}"), pipeline=eval_pipeline(960, 540))


def _test(condition):
    return dict(
        dataset_config(f"test_acdc_{condition}"), pipeline=eval_pipeline(960, 540, labels=False))


val_acdc_night = _val("night")
val_acdc_fog = _val("fog")
val_acdc_rain = _val("rain")
val_acdc_snow = _val("snow")
test_acdc = [_test("night"), _test("fog"), _test("rain"), _test("snow")]
acdc_full_pipeline = eval_pipeline(1920, 1080)  # as in protocol `full`
