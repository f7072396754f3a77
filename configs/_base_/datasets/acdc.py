"""ACDC in its four conditions: gt/**/*_gt_labelTrainIds.png hold trainIds as they come.

The test images have no labels: predictions of them go to the benchmark's server.
"""


def _test_pipeline(width, height):
    return [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(width, height), keep_ratio=True),
        dict(type="LoadAnnotations"),  # after Resize: labels keep their own size
        dict(type="PackSegInputs"),
    ]


def _val(condition):
    return dict(
        type="UrbanSceneDataset",
        domain=f"acdc_{condition}",
        data_root="data/acdc/",
        data_prefix=dict(
            img_path=f"rgb_anon/{condition}/val", seg_map_path=f"gt/{condition}/val"),
        img_suffix="_rgb_anon.png",
        seg_map_suffix="_gt_labelTrainIds.png",
        pipeline=_test_pipeline(960, 540),  # halved, as Cityscapes is for 512 models
    )


def _test(condition):
    load, resize, _, pack = _test_pipeline(960, 540)
    return dict(
        type="UrbanSceneDataset",
        domain=f"acdc_{condition}",
        data_root="data/acdc/",
        data_prefix=dict(img_path=f"rgb_anon/{condition}/test"),
        img_suffix="_rgb_anon.png",
        pipeline=[load, resize, pack],
    )


val_acdc_night = _val("night")
val_acdc_fog = _val("fog")
val_acdc_rain = _val("rain")
val_acdc_snow = _val("snow")
test_acdc = [_test("night"), _test("fog"), _test("rain"), _test("snow")]
acdc_full_pipeline = _test_pipeline(1920, 1080)
