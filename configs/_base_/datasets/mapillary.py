"""Mapillary Vistas v1.2: labels from mapillary2cityscape.py, halved to test by mapillary_resize.py.

Both lie in tools/convert_datasets/. Protocol `full` tests on the images as they come.
"""


def _test_pipeline(width, height):
    return [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(width, height), keep_ratio=True),
        dict(type="LoadAnnotations"),  # after Resize: labels keep their own size
        dict(type="PackSegInputs"),
    ]


train_mapillary = dict(
    type="UrbanSceneDataset",
    domain="map",
    data_root="data/mapillary/",
    data_prefix=dict(
        img_path="training/images", seg_map_path="cityscapes_trainIdLabel/train/label"),
    img_suffix=".jpg",
    seg_map_suffix=".png",
)
val_mapillary = dict(
    train_mapillary,
    data_prefix=dict(img_path="half/val_img", seg_map_path="half/val_label"),
    pipeline=_test_pipeline(1024, 512),
)
val_mapillary_full = dict(
    train_mapillary,
    data_prefix=dict(
        img_path="validation/images", seg_map_path="cityscapes_trainIdLabel/val/label"),
    pipeline=_test_pipeline(2048, 1024),
)
