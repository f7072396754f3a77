"""Training pipelines: random resize, crop, flip and colour distortion."""


def _train_pipeline(crop, scales):
    return [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations"),
        dict(
            type="RandomChoiceResize",
            scales=[int(crop * x * 0.1) for x in scales],  # of the short side
            resize_type="ResizeShortestEdge",
            max_size=4 * crop,
        ),
        dict(type="RandomCrop", crop_size=(crop, crop), cat_max_ratio=0.75),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PhotoMetricDistortion"),
        dict(type="PackSegInputs"),
    ]


train_pipeline_512x512 = _train_pipeline(512, range(5, 21))
train_pipeline_1024x1024 = _train_pipeline(1024, range(5, 21))
train_pipeline_toy = _train_pipeline(256, range(10, 17, 2))  # toy frames are small already
train_pipeline_camvid = _train_pipeline(288, range(10, 17, 2))  # frames of 480x360
