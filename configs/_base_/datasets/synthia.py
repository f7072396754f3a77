"""SYNTHIA: RGB/*.png, GT/LABELS/*_labelTrainIds.png from tools/convert_datasets/synthia.py."""

train_synthia = dict(
    type="UrbanSceneDataset",
    domain="synthia",
    data_root="data/synthia/",
    data_prefix=dict(img_path="RGB", seg_map_path="GT/LABELS"),
    img_suffix=".png",
    seg_map_suffix="_labelTrainIds.png",
)
