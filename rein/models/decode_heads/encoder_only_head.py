"""Encoder-only mask head: classes and losses for queries that the backbone itself decodes.

Source: Kerssies et al., "Your ViT is Secretly an Image Segmentation Model" (EoMT), CVPR 2025,
arXiv:2503.19108. Matching and losses are Mask2Former's.
"""

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.registry import TASK_UTILS
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.arguments import known_arguments, refuse_unknown
from rein.models.decode_heads.mask_losses import Decoded, mask2former_losses
from rein.models.decode_heads.rein_mask2former_head import ReinMask2FormerHead, padded
from rein.models.pyramid import MaskQueries, Pyramid


@MODELS.register_module()
class EncoderOnlyHead(ReinMask2FormerHead):
    """A class layer on the queries of an `EncoderOnlyQueries` adapter, which computes the masks.

    There is no pixel decoder and no transformer decoder.

    Args:
        in_channels (int): Channels c of the queries; the backbone's width.
        num_classes (int): Classes without "no object".
        loss_cls (dict): As for mmdet's `Mask2FormerHead`, like the next ones.
        loss_mask (dict): Loss of the masks' points.
        loss_dice (dict): Dice loss of the masks' points.
        train_cfg (dict): `assigner`, `num_points`, `oversample_ratio`, `importance_sample_ratio`.
        align_corners (bool): As for mmseg's heads.
        ignore_index (int): Label of unlabelled pixels.
        **kwargs: None; others are refused.

    Raises:
        UserError: An argument is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        loss_cls: dict,
        loss_mask: dict,
        loss_dice: dict,
        train_cfg: dict,
        align_corners: bool = False,
        ignore_index: int = 255,
        **kwargs,
    ) -> None:
        refuse_unknown(
            type(self).__name__, kwargs, known_arguments(type(self), EncoderOnlyHead))
        BaseDenseHead.__init__(self)  # Mask2Former's own would create both decoders
        self.in_channels = in_channels
        self.num_classes = self.out_channels = num_classes
        self.align_corners = align_corners
        self.ignore_index = ignore_index
        self.class_weight = loss_cls["class_weight"]
        self.loss_cls, self.loss_mask, self.loss_dice = (
            MMDET_MODELS.build(loss) for loss in (loss_cls, loss_mask, loss_dice))
        self.assigner = TASK_UTILS.build(train_cfg["assigner"])
        self.num_points = train_cfg["num_points"]
        self.oversample_ratio = train_cfg["oversample_ratio"]
        self.importance_sample_ratio = train_cfg["importance_sample_ratio"]
        self.cls_embed = nn.Linear(in_channels, num_classes + 1)

    def init_weights(self) -> None:
        """Keep PyTorch's initialisation; Mask2Former's concerns its decoders."""

    def decode(self, x) -> Decoded:
        """Predict the queries' classes and masks after the last block.

        Args:
            x (Pyramid): With the queries of an `EncoderOnlyQueries` adapter.
        """
        return self._decode_one(self._queries(x)[-1])

    def _decode_one(self, found: MaskQueries) -> Decoded:
        """Predict from the queries after one block, in float32."""
        return Decoded(self.cls_embed(found.queries)[None].float(), found.embeds[None].float(),
                       found.feats.float())

    def _queries(self, x) -> tuple[MaskQueries, ...]:
        """Return the adapter's queries, which must fit."""
        found = Pyramid.of(x).queries
        if not isinstance(found, tuple):
            raise UserError("EncoderOnlyHead needs an adapter EncoderOnlyQueries, alone or in a "
                            "Combined. Name one in the backbone's reins_config.")
        queries, channels = found[-1].queries.shape[1:]
        if channels != self.in_channels:
            raise UserError(f"EncoderOnlyHead has in_channels={self.in_channels}, but the queries "
                            f"have {channels} channels. Set in_channels={channels}.")
        if queries < self.num_classes:
            raise UserError(f"EncoderOnlyHead has {self.num_classes} classes, but the adapter has "
                            f"num_queries={queries}. Set at least one for each class.")
        return found

    def loss(self, x, batch_data_samples, train_cfg=None) -> dict[str, Tensor]:
        """Compute the losses of all predictions.

        Args:
            x: As for `decode`.
            batch_data_samples: One per image, with `gt_sem_seg` (1, H, W).
            train_cfg: Unused; part of mmseg's interface.

        Returns:
            `loss_cls`, `loss_mask`, `loss_dice` after the last block, and those of earlier
            predictions as `d0.loss_cls`, ...
        """
        instances, _ = self._seg_data_to_instance_data(batch_data_samples)
        for gt in instances:
            gt.masks = padded(gt.masks, Pyramid.of(x).image_size)
        decoded = [self._decode_one(found) for found in self._queries(x)]
        prefixes = [*(f"d{i}." for i in range(len(decoded) - 1)), ""]
        with torch.autocast(decoded[0].mask_features.device.type, enabled=False):
            return {f"{prefix}{name}": value
                    for prefix, one in zip(prefixes, decoded, strict=True)
                    for name, value in mask2former_losses(self, one, instances).items()}
