"""GTA V: images/*.png, labels/*_labelTrainIds.png from tools/convert_datasets/gta.py."""

train_gta = dict(
    type="UrbanSceneDataset",
    domain="gta",
    data_root="data/gta/",
    data_prefix=dict(img_path="images", seg_map_path="labels"),
    img_suffix=".png",
    seg_map_suffix="_labelTrainIds.png",
    max_unlabelled=10,  # the converter leaves out labels whose size is not their image's
)
val_gta = dict(
    train_gta,
    pipeline=[
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(1280, 720), keep_ratio=True),
        dict(type="LoadAnnotations"),  # after Resize: labels keep their own size
        dict(type="PackSegInputs"),
    ],
)
