"""Cityscapes: gtFine/**/*_labelTrainIds.png come from tools/convert_datasets/cityscapes.py."""


def _test_pipeline(width, height):
    return [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(width, height), keep_ratio=True),
        dict(type="LoadAnnotations"),  # after Resize: labels keep their own size
        dict(type="PackSegInputs"),
    ]


train_cityscapes = dict(
    type="UrbanSceneDataset",
    domain="citys",
    data_root="data/cityscapes/",
    data_prefix=dict(img_path="leftImg8bit/train", seg_map_path="gtFine/train"),
    img_suffix="_leftImg8bit.png",
    seg_map_suffix="_gtFine_labelTrainIds.png",
)
# 186 images, the split that UniMatch publishes (https://github.com/LiheYoung/UniMatch); the list
# comes with Rein (rein/datasets/lists), but a file of its name in data/cityscapes goes first
train_cityscapes_1of16 = dict(train_cityscapes, ann_file="cityscapes_1of16.txt")
val_cityscapes = dict(
    train_cityscapes,
    data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"),
    pipeline=_test_pipeline(1024, 512),
)
val_cityscapes_full = dict(val_cityscapes, pipeline=_test_pipeline(2048, 1024))
