"""GTA V + SYNTHIA -> Cityscapes, BDD100K and Mapillary; crop 512, batch 4.

All images are sampled equally often. To sample both datasets equally often, set
`sampler=dict(weights=[1, 1])` in the train_dataloader.
"""

_base_ = ["./dg_gta_512x512.py", "./synthia.py"]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ConcatDataset",
        datasets=[
            dict(dataset, pipeline=_base_.train_pipeline_512x512)
            for dataset in (_base_.train_gta, _base_.train_synthia)
        ],
    ),
)
