"""Mask2Former head whose queries come from the backbone's adapter.

Sources: Cheng et al., Mask2Former (arXiv:2112.01527), as implemented by mmdet and mmseg in the base
classes; Wei et al., arXiv:2312.04265, section 3.3 for the linked queries.
"""

import torch
import torch.nn.functional as F
from mmdet.models.dense_heads import Mask2FormerHead as MMDetMask2FormerHead
from mmengine.config import ConfigDict
from mmengine.dist import all_reduce
from mmengine.structures import InstanceData
from mmseg.models.decode_heads import Mask2FormerHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.errors import UserError
from rein.models.arguments import UNNEEDED, known_arguments, refuse_unknown
from rein.models.decode_heads.attention import decode_layer
from rein.models.decode_heads.mask_losses import Decoded, mask2former_losses
from rein.models.decode_heads.pixel_decoder import decode_pixels, embed_places
from rein.models.pyramid import Pyramid, resize


@MODELS.register_module()
class ReinMask2FormerHead(Mask2FormerHead):
    """Mask2Former head for features with linked queries.

    The adapter's queries, (m, q) or (B, m, q), become the decoder's positional queries. Without
    `linked_queries` it is a plain Mask2Former head with learned queries.

    Args:
        replace_query_feat (bool): Also compute the initial query content from the queries, with a
            linear layer `querys2feat`, instead of learning it.
        linked_queries (bool): Use the adapter's queries. False: plain Mask2Former.
        **kwargs: As for mmseg's `Mask2FormerHead`. `num_queries` must equal the adapter's token
            length.

    Raises:
        UserError: An argument is unknown.
    """

    def __init__(
        self, replace_query_feat: bool = False, linked_queries: bool = True, **kwargs,
    ) -> None:
        unneeded = UNNEEDED[ReinMask2FormerHead.__name__]
        kwargs = {name: value for name, value in kwargs.items() if name not in unneeded}
        refuse_unknown(
            type(self).__name__, kwargs, known_arguments(type(self), MMDetMask2FormerHead))
        super().__init__(**ConfigDict(kwargs))
        if replace_query_feat and not linked_queries:
            raise ValueError("replace_query_feat=True needs linked_queries=True")
        for module in self.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False  # a linear layer's output is a view: autograd would copy it
        self.replace_query_feat = replace_query_feat
        self.linked_queries = linked_queries
        self.in_channels, self.feat_channels = list(kwargs["in_channels"]), kwargs["feat_channels"]
        # drop the parameters that linked queries replace, so that checkpoints omit them
        if linked_queries:
            del self.query_embed
        if replace_query_feat:
            del self.query_feat
            channels = kwargs["feat_channels"]
            self.querys2feat = nn.Linear(channels, channels)

    def forward(self, x, batch_data_samples=None) -> tuple[list[Tensor], list[Tensor]]:
        """Predict the queries' classes and masks before the first and after every decoder layer.

        Args:
            x (Pyramid): Four maps (B, C, H/4, W/4) to (B, C, H/32, W/32), with queries if
                `linked_queries` is set.
            batch_data_samples: Unused; part of mmdet's interface.

        Returns:
            Two lists with one entry per prediction: class logits (B, m, classes + 1), where the
            last class is "no object", and mask logits (B, m, H/4, W/4).
        """
        return self.decode(x).per_layer()

    def decode(self, x) -> Decoded:
        """Run the pixel decoder and the transformer decoder; `x` as for `forward`.

        Returns:
            Predictions in float32, whatever the decoders' precision.
        """
        pyramid = Pyramid.of(x)
        query_feat, query_embed = self._initial_queries(pyramid)
        mask_features, memories = decode_pixels(self.pixel_decoder, pyramid)
        values, keys = self._flatten_memories(memories)
        # resizing and products with embeddings commute: compute masks at the size of their use
        small = [
            resize(mask_features.detach(), tuple(memory.shape[-2:])).flatten(2)
            for memory in memories]
        outputs = [self._predict_queries(query_feat)]
        for i, layer in enumerate(self.transformer_decoder.layers):
            level = i % len(memories)
            blocked = outputs[-1][1].detach() @ small[level] < 0
            # a query with an empty mask attends everywhere instead of nowhere
            blocked = blocked & ~blocked.all(dim=-1, keepdim=True)
            query_feat = decode_layer(
                layer, query_feat, query_embed, keys[level], values[level], blocked)
            outputs.append(self._predict_queries(query_feat))
        cls_preds, mask_embeds = map(torch.stack, zip(*outputs, strict=True))
        return Decoded(cls_preds.float(), mask_embeds.float(), mask_features.float())

    def _predict_queries(self, query_feat: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the class logits (B, m, classes + 1) and mask embeddings (B, m, C) of queries."""
        query_feat = self.transformer_decoder.post_norm(query_feat)
        return self.cls_embed(query_feat), self.mask_embed(query_feat)

    def loss(self, x, batch_data_samples, train_cfg=None) -> dict[str, Tensor]:
        """Compute the losses of all decoder layers.

        Args:
            x: As for `forward`.
            batch_data_samples: One per image, with `gt_sem_seg` (1, H, W).
            train_cfg: Unused; part of mmseg's interface.

        Returns:
            `loss_cls`, `loss_mask`, `loss_dice`, and those of earlier layers as `d0.loss_cls`, ...
        """
        instances, img_metas = self._seg_data_to_instance_data(batch_data_samples)
        x = Pyramid.of(x)
        for gt in instances:
            gt.masks = padded(gt.masks, x.image_size)
        decoded = self.decode(x)
        with torch.autocast(decoded.mask_features.device.type, enabled=False):
            if self._queries_suffice(instances):
                return mask2former_losses(self, decoded, instances)
            return self.loss_by_feat(*decoded.per_layer(), instances, img_metas)

    def _queries_suffice(self, instances: list[InstanceData]) -> bool:
        """Tell whether no image of any process has more segments than there are queries.

        The processes of a distributed run decide alike, since the two ways of computing losses
        communicate differently.
        """
        enough = max(len(gt.labels) for gt in instances) <= self.num_queries
        if self.num_classes <= self.num_queries:
            return enough
        everywhere = instances[0].labels.new_tensor(int(enough))
        all_reduce(everywhere, "min")
        return bool(everywhere)

    def _initial_queries(self, pyramid: Pyramid) -> tuple[Tensor, Tensor]:
        """Return the initial content and positions of the queries, each (B, m, q)."""
        query_embed = pyramid.queries if self.linked_queries else self.query_embed.weight
        if not isinstance(query_embed, Tensor):
            raise UserError(
                "the head expects queries, but the backbone provides none. Set "
                "link_token_to_query=True in the adapter, or linked_queries=False in the head.")
        if query_embed.shape[-2] != self.num_queries:
            raise UserError(
                f"the adapter provides {query_embed.shape[-2]} queries (its token_length), but the "
                f"head has num_queries={self.num_queries}. Set both to the same number.")
        query_feat = (
            self.querys2feat(query_embed) if self.replace_query_feat else self.query_feat.weight)
        batch_size = pyramid.maps[0].shape[0]
        return query_feat.expand(batch_size, -1, -1), query_embed.expand(batch_size, -1, -1)

    def _flatten_memories(self, memories: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Turn memories (B, C, h, w) into decoder values and keys, each (B, h * w, C)."""
        values, keys = [], []
        for level, memory in enumerate(memories):
            value = self.decoder_input_projs[level](memory).flatten(2).transpose(1, 2)
            values.append(value + self.level_embed.weight[level])
            keys.append(values[-1] + embed_places(self.decoder_positional_encoding, memory))
        return values, keys

    def predict(self, x, batch_img_metas: list[dict], test_cfg) -> Tensor:
        """Predict the class scores of every pixel.

        Args:
            x: As for `forward`.
            batch_img_metas: One per image, with `img_shape` or `pad_shape` (H, W).
            test_cfg: Unused; part of mmseg's interface.

        Returns:
            (B, classes, H, W): class probability times mask probability, summed over the queries.
        """
        x = Pyramid.of(x)
        decoded = self.decode(x)
        with torch.autocast(decoded.mask_features.device.type, enabled=False):
            return self._class_scores(decoded, x.image_size, batch_img_metas[0])

    def _class_scores(
        self, decoded: Decoded, image_size: tuple[int, int], img_meta: dict,
    ) -> Tensor:
        """Compute scores (B, classes, H, W) from the last layer's predictions."""
        height, width = _input_size(img_meta, image_size)
        # masks cover the image with the backbone's padding: crop the padding, do not squeeze it
        masks = resize(decoded.mask_preds(-1), image_size)[..., :height, :width].sigmoid()
        classes = decoded.cls_preds[-1].softmax(dim=-1)[..., :-1]
        return torch.einsum("bqc,bqhw->bchw", classes, masks)


def padded(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Pad masks (G, H, W) like the backbone pads images: with zeros, at the right and bottom."""
    height, width = (max(p - s, 0) for p, s in zip(size, masks.shape[-2:], strict=True))
    return F.pad(masks, (0, width, 0, height)) if height or width else masks


def _input_size(img_meta: dict, padded: tuple[int, int]) -> tuple[int, int]:
    """Return the (H, W) of the network's input.

    This is mmseg's `pad_shape` if the data preprocessor padded, else `img_shape`; for a sliding
    window mmseg sets only `img_shape`. The backbone pads by less than a patch.
    """
    sizes = [tuple(img_meta[k][:2]) for k in ("pad_shape", "img_shape") if k in img_meta]
    for size in sizes:
        if all(0 <= p - s < 32 for p, s in zip(padded, size, strict=True)):
            return size
    return min(sizes[-1][0], padded[0]), min(sizes[-1][1], padded[1])
