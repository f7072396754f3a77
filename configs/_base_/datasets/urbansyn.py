"""UrbanSyn: rgb/*.png, labels/*_labelTrainIds.png from tools/convert_datasets/urbansyn.py."""

train_urbansyn = dict(
    type="UrbanSceneDataset",
    domain="urbansyn",
    data_root="data/urbansyn/",
    data_prefix=dict(img_path="rgb", seg_map_path="labels"),
    img_suffix=".png",
    seg_map_suffix="_labelTrainIds.png",
)
