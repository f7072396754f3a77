"""GTA V + SYNTHIA + UrbanSyn -> Cityscapes, BDD100K and Mapillary; crop 512, batch 4.

All images are sampled equally often; see dg_gta_synthia_512x512.py.
"""

_base_ = ["./dg_gta_512x512.py", "./synthia.py", "./urbansyn.py"]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="ConcatDataset",
        datasets=[
            dict(dataset, pipeline=_base_.train_pipeline_512x512)
            for dataset in (_base_.train_gta, _base_.train_synthia, _base_.train_urbansyn)
        ],
    ),
)
