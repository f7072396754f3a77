"""CamVid, a domain for each drive; folders and facts: rein/datasets/descriptions/camvid.py.

The drives are named train_* or val_* as in docs/real_photographs.md; a config may choose otherwise.
"""

_base_ = []  # must precede the import, so that mmengine reads this file as a plain config
from rein.datasets.descriptions import dataset_config, eval_pipeline

train_camvid_0006R0 = dataset_config("train_camvid_0006R0")
train_camvid_0016E5 = dataset_config("train_camvid_0016E5")
val_camvid_0001TP = dict(dataset_config("val_camvid_0001TP"), pipeline=eval_pipeline(960, 720))
val_camvid_Seq05VD = dict(dataset_config("val_camvid_Seq05VD"), pipeline=eval_pipeline(960, 720))
