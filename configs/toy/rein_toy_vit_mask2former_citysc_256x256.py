r"""The quickstart's model on toy Cityscapes-C: one corruption of each kind, severity 3; tests only.

    python tools/test.py configs/toy/rein_toy_vit_mask2former_citysc_256x256.py \
        work_dirs/quickstart/toy_segmentor.pth
"""

_base_ = ["./rein_toy_vit_mask2former_256x256.py", "../_base_/datasets/cityscapes_c.py"]
domains = ["citys_gaussian_noise_3", "citys_motion_blur_3", "citys_contrast_3", "citys_fog_3"]


def _toy(dataset):
    load, corrupt, resize, annotate, pack = dataset["pipeline"]
    resize = dict(resize, scale=(512, 256))
    return dict(
        dataset, data_root="data/toy/cityscapes/",
        pipeline=[load, corrupt, resize, annotate, pack])


test_dataloader = dict(dataset=dict(
    datasets=[_toy(d) for d in _base_.val_cityscapes_c if d["domain"] in domains]))
test_evaluator = dict(dataset_keys=domains, mean_used_keys=domains)
