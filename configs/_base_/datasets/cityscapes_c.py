"""Cityscapes-C: the validation images in 16 corruptions of 5 severities, made while loading.

They need libraries of their own, see README.md. A folder named by the environment variable
REIN_CORRUPTION_CACHE keeps the corrupted images.
"""


def _val(corruption, severity):
    return dict(
        type="UrbanSceneDataset",
        domain=f"citys_{corruption}_{severity}",
        data_root="data/cityscapes/",
        data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"),
        img_suffix="_leftImg8bit.png",
        seg_map_suffix="_gtFine_labelTrainIds.png",
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Corrupt", corruption=corruption, severity=severity),  # at full size
            dict(type="Resize", scale=(1024, 512), keep_ratio=True),
            dict(type="LoadAnnotations"),  # after Resize: labels keep their own size
            dict(type="PackSegInputs"),
        ],
    )


corruptions = [
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise",
    "motion_blur", "defocus_blur", "glass_blur", "gaussian_blur",
    "brightness", "contrast", "saturate", "jpeg_compression",
    "snow", "spatter", "fog", "frost",
]
val_cityscapes_c = [_val(name, severity) for name in corruptions for severity in range(1, 6)]
