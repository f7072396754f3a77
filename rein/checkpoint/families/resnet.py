"""ResNet (He et al., arXiv:1512.03385).

Sources of names: mmseg's and mmpretrain's `ResNetV1c`, whose names the published type
`ReinsResNetV1c` has; timm's and torchvision's `ResNet`, which share theirs.
"""

from rein.checkpoint.families.base import Family, Naming, Rename

OPENMMLAB = Naming(
    publisher="OpenMMLab",
    prefix=r"(backbone\.)?",
    marks=("stem.0.weight", "stem.7.running_mean", "layer1.0.conv1.weight"),
    renames=(
        Rename("stem.7.*", "bn1.*"),
        Rename("stem.#.*", "conv1.#.*"),
    ),
)

RESNET = Family(
    name="ResNet",
    timm=r"^resnet",
    namings=(OPENMMLAB,),
    published=OPENMMLAB,
    marks=("bn1.running_mean", "layer1.0.conv1.weight", "layer4.0.conv1.weight"),
    resampled={},
    unused={"fc.*": "classifier"},
)
