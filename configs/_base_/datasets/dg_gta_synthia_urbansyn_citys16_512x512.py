"""GTA V + SYNTHIA + UrbanSyn + 1/16 Cityscapes -> Cityscapes, BDD100K and Mapillary; crop 512.

All synthetic images are sampled equally often; one in four samples is real.
"""

_base_ = "./dg_gta_synthia_urbansyn_512x512.py"
train_dataloader = dict(
    dataset=dict(
        datasets=[
            *_base_.train_dataloader.dataset.datasets,
            dict(_base_.train_cityscapes_1of16, pipeline=_base_.train_pipeline_512x512),
        ],
    ),
    # 24966, 9400 and 7539 synthetic images; 13968 is a third of their sum
    sampler=dict(weights=[24966, 9400, 7539, 13968]),
)
