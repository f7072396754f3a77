"""GTA V -> Cityscapes, BDD100K and Mapillary; crop 1024, batch 2 per GPU."""

_base_ = "./dg_gta_512x512.py"
train_dataloader = dict(
    batch_size=2,  # x 4 GPUs
    dataset=dict(pipeline=_base_.train_pipeline_1024x1024),
)
