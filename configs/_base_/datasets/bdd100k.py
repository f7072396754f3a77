"""BDD100K: the masks in labels/sem_seg hold trainIds as they come."""

train_bdd = dict(
    type="UrbanSceneDataset",
    domain="bdd",
    data_root="data/bdd100k/",
    data_prefix=dict(img_path="images/10k/train", seg_map_path="labels/sem_seg/masks/train"),
    img_suffix=".jpg",
    seg_map_suffix=".png",
)
val_bdd = dict(
    train_bdd,
    data_prefix=dict(img_path="images/10k/val", seg_map_path="labels/sem_seg/masks/val"),
    pipeline=[
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(1280, 720), keep_ratio=True),
        dict(type="LoadAnnotations"),  # after Resize: labels keep their own size
        dict(type="PackSegInputs"),
    ],
)
