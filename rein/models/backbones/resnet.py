"""ResNet with Rein adapters under its published type name, built from timm's network.

Sources: ResNet (He et al., arXiv:1512.03385); He et al., arXiv:1812.01187 for the deep stem.
"""

from collections.abc import Mapping, Sequence

from mmseg.registry import MODELS
from timm.models.resnet import BasicBlock, Bottleneck, ResNet

from rein.checkpoint.families import RESNET
from rein.models.backbones.vfm import VisionFoundationModel

ARCHITECTURES = {
    18: (BasicBlock, (2, 2, 2, 2)), 34: (BasicBlock, (3, 4, 6, 3)), 50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)), 152: (Bottleneck, (3, 8, 36, 3)),
}
"""Depth -> block and number of blocks by stage."""


@MODELS.register_module()
class ReinsResNetV1c(VisionFoundationModel):
    """A frozen ResNet with a stem of three convolutions and a Rein adapter for each stage.

    Args:
        reins_config (dict): What the stages' adapters share, `Reins` or `LoRAReins`.
        distinct_cfgs (Sequence[dict], optional): Each stage's own arguments. Default: derived.
        depth (int): 18, 34, 50, 101 or 152.
        stem_channels (int): Channels of the stem's output.
        base_channels (int): Channels of the first stage's 3 x 3 convolutions.
        num_stages (int): Must be 4.
        strides (Sequence[int]): Must be (1, 2, 2, 2).
        dilations (Sequence[int]): Must be (1, 1, 1, 1).
        out_indices (Sequence[int]): Stages whose outputs become the maps.
        style (str): Must be 'pytorch': the 3 x 3 convolution has the stride.
        norm_cfg (Mapping, optional): Unused; batch statistics are frozen.
        norm_eval (bool): Unused; they always are.
        contract_dilation (bool): Unused without dilation.
        frozen_stages (int): Unused; all stages are frozen.
        **kwargs: As for `VisionFoundationModel`.
    """

    FAMILY = RESNET

    def __init__(
        self,
        reins_config: dict,
        distinct_cfgs: Sequence[dict] | None = None,
        depth: int = 50,
        stem_channels: int = 64,
        base_channels: int = 64,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        style: str = "pytorch",
        norm_cfg: Mapping | None = None,
        norm_eval: bool = True,
        contract_dilation: bool = False,
        frozen_stages: int = -1,
        **kwargs,
    ) -> None:
        if (num_stages, *strides) != (4, 1, 2, 2, 2) or set(dilations) != {1} or style != "pytorch":
            raise ValueError(
                f"num_stages={num_stages}, strides={tuple(strides)}, dilations={tuple(dilations)}, "
                f"style={style!r}: expected 4, (1, 2, 2, 2), (1, 1, 1, 1), 'pytorch', which give "
                "maps at strides 4, 8, 16, 32.")
        if depth not in ARCHITECTURES:
            raise ValueError(f"depth={depth} is unknown; known: "
                             f"{', '.join(map(str, ARCHITECTURES))}.")
        block, layers = ARCHITECTURES[depth]
        network = ResNet(
            block, layers, num_classes=0, stem_type="deep", stem_width=stem_channels // 2,
            channels=tuple(base_channels * 2**i for i in range(4)))
        super().__init__(
            network, out_indices=out_indices, reins_config=reins_config,
            distinct_cfgs=distinct_cfgs, **kwargs)
