"""Cityscapes: gtFine/**/*_labelTrainIds.png come from tools/convert_datasets/cityscapes.py."""

train_cityscapes = dict(
    type="UrbanSceneDataset",
    domain="citys",
    data_root="data/cityscapes/",
    data_prefix=dict(img_path="leftImg8bit/train", seg_map_path="gtFine/train"),
    img_suffix="_leftImg8bit.png",
    seg_map_suffix="_gtFine_labelTrainIds.png",
)
val_cityscapes = dict(
    train_cityscapes,
    data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"),
    pipeline=[
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(1024, 512), keep_ratio=True),
        dict(type="LoadAnnotations"),  # after Resize: labels keep their own size
        dict(type="PackSegInputs"),
    ],
)
