"""ACDC in its four conditions; folders and facts: rein/datasets/descriptions/acdc.py.

The test images have no labels: predictions of them go to the benchmark's server.
"""

_base_ = []  # has to precede the import: mmengine then reads this file as a plain config
from rein.datasets.descriptions import dataset_config, eval_pipeline


def _val(condition):  # halved, as Cityscapes is for 512 models
    return dict(dataset_config(f"val_acdc_{condition}"), pipeline=eval_pipeline(960, 540))


def _test(condition):
    return dict(
        dataset_config(f"test_acdc_{condition}"), pipeline=eval_pipeline(960, 540, labels=False))


val_acdc_night = _val("night")
val_acdc_fog = _val("fog")
val_acdc_rain = _val("rain")
val_acdc_snow = _val("snow")
test_acdc = [_test("night"), _test("fog"), _test("rain"), _test("snow")]
acdc_full_pipeline = eval_pipeline(1920, 1080)  # as protocol `full`
