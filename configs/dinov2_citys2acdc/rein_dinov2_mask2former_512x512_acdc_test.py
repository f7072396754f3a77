r"""Predict ACDC's test images, which have no labels, for the benchmark's server.

    python tools/test.py \
        configs/dinov2_citys2acdc/rein_dinov2_mask2former_512x512_acdc_test.py CHECKPOINT
"""

_base_ = "./rein_dinov2_mask2former_512x512_bs1x4.py"
test_dataloader = dict(dataset=dict(datasets=_base_.test_acdc))
test_evaluator = dict(format_only=True, output_dir="work_dirs/acdc_test")
