"""EfficientNet-Lite0 with ImageNet weights, frozen, and the toy's small Mask2Former head.

Sources: Tan & Le, arXiv:1905.11946, and TensorFlow's Lite variants; docs/real_photographs.md says
how to get the weights.
"""

_base_ = "./toy_vit_mask2former.py"
crop_size = (288, 288)
model = dict(
    data_preprocessor=dict(  # [-1, 1], as in pretraining
        mean=[127.5] * 3, std=[127.5] * 3, size=crop_size),
    backbone=dict(
        _delete_=True,
        type="VisionFoundationModel",
        model="tf_efficientnet_lite0",
        init_cfg=dict(
            type="Pretrained", checkpoint="checkpoints/tf_efficientnet_lite0_converted.pth"),
    ),
    decode_head=dict(in_channels=[24, 40, 112, 320]),  # strides 4, 8, 16, 32
    test_cfg=dict(crop_size=crop_size, stride=(192, 192)),  # stride: 2/3 of the crop
)
