"""ConvNeXt with Rein adapters under its published type name, built from timm's network.

Source: ConvNeXt (Liu et al., arXiv:2201.03545).
"""

from collections.abc import Mapping, Sequence

from mmseg.registry import MODELS
from timm.layers import LayerNorm2d
from timm.models.convnext import ConvNeXt
from torch import Tensor

from rein.checkpoint.families import CONVNEXT
from rein.models.backbones.vfm import VisionFoundationModel
from rein.models.freezing import freeze

ARCHITECTURES = {
    "tiny": dict(depths=(3, 3, 9, 3), channels=(96, 192, 384, 768)),
    "small": dict(depths=(3, 3, 27, 3), channels=(96, 192, 384, 768)),
    "base": dict(depths=(3, 3, 27, 3), channels=(128, 256, 512, 1024)),
    "large": dict(depths=(3, 3, 27, 3), channels=(192, 384, 768, 1536)),
    "xlarge": dict(depths=(3, 3, 27, 3), channels=(256, 512, 1024, 2048)),
}
"""Name of the released networks -> blocks and channels of the stages."""


@MODELS.register_module()
class ReinsConvNeXt(VisionFoundationModel):
    """A frozen ConvNeXt with a Rein adapter for each stage, after every block (arXiv:2312.04265).

    A norm follows each map, but not the features that the next stage receives.

    Args:
        reins_config (dict): What the stages' adapters share, `Reins` or `LoRAReins`.
        distinct_cfgs (Sequence[dict], optional): Each stage's own arguments. Default: derived.
        arch (str | Mapping): Name of a released network, or `depths` and `channels` by stage.
        drop_path_rate (float): Unused; the network is frozen.
        layer_scale_init_value (float): Initial layer scale; 0: none.
        out_indices (Sequence[int]): Stages whose outputs become the maps.
        gap_before_final_norm (bool): Must be False: the maps are not pooled.
        **kwargs: As for `VisionFoundationModel`.
    """

    FAMILY = CONVNEXT

    def __init__(
        self,
        reins_config: dict,
        distinct_cfgs: Sequence[dict] | None = None,
        arch: str | Mapping = "tiny",
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-6,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        gap_before_final_norm: bool = True,
        **kwargs,
    ) -> None:
        if gap_before_final_norm:
            raise ValueError("gap_before_final_norm=True pools the maps: set it to False.")
        if isinstance(arch, str) and arch not in ARCHITECTURES:
            raise ValueError(f"arch={arch!r} is unknown; known: {', '.join(ARCHITECTURES)}.")
        arch = ARCHITECTURES[arch] if isinstance(arch, str) else arch
        network = ConvNeXt(
            depths=tuple(arch["depths"]), dims=tuple(arch["channels"]), num_classes=0,
            ls_init_value=layer_scale_init_value or None, norm_eps=1e-6)
        network.prune_intermediate_layers([3], prune_norm=True, prune_head=True)
        super().__init__(
            network, out_indices=out_indices, reins_config=reins_config,
            distinct_cfgs=distinct_cfgs, **kwargs)
        for index, channels in zip(self.out_indices, self.embed_dims, strict=True):
            self.add_module(f"norm{index}", freeze(LayerNorm2d(channels, eps=1e-6)))

    def _maps(self, images: Tensor) -> list[Tensor]:
        """Compute the refined maps and normalise each."""
        maps = super()._maps(images)
        return [getattr(self, f"norm{index}")(one)
                for index, one in zip(self.out_indices, maps, strict=True)]
