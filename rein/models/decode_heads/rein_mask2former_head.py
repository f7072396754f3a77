"""Mask2Former head whose queries come from the backbone's adapter.

Sources: Cheng et al., Mask2Former (arXiv:2112.01527), as implemented by mmdet and mmseg, which do
all that is not overridden here; Wei et al., arXiv:2312.04265, section 3.3 for the linked queries.
"""

import torch
from mmengine.config import ConfigDict
from mmseg.models.decode_heads import Mask2FormerHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from rein.models.decode_heads.attention import decode_layer
from rein.models.decode_heads.mask_losses import Decoded, mask2former_losses
from rein.models.decode_heads.pixel_decoder import decode_pixels, embed_places
from rein.models.pyramid import Pyramid, resize

FINEST_STRIDE = 4
"""Stride of the mask logits, in pixels of the padded image."""


@MODELS.register_module()
class ReinMask2FormerHead(Mask2FormerHead):
    """Mask2Former head for features with linked queries.

    Its input is the pair (maps, queries) of a backbone whose adapter links tokens to queries; the
    queries (m, q) are the decoder's positional queries. With maps alone it is a plain
    Mask2Former head with learned queries.

    Args:
        replace_query_feat (bool): Compute the initial query content from the queries, too, by a
            linear layer `querys2feat`, instead of learning it.
        linked_queries (bool): Whether the backbone gives queries. False: plain Mask2Former.
        **kwargs: As for mmseg's `Mask2FormerHead`. `num_queries` has to equal the adapter's
            token length.
    """

    def __init__(
        self, replace_query_feat: bool = False, linked_queries: bool = True, **kwargs,
    ) -> None:
        kwargs.pop("strides", None)  # published configs name them; the pixel decoder knows them
        super().__init__(**ConfigDict(kwargs))
        if replace_query_feat and not linked_queries:
            raise ValueError("replace_query_feat=True needs linked_queries=True")
        for module in self.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False  # a linear layer's output is a view: autograd would copy it
        self.replace_query_feat = replace_query_feat
        self.linked_queries = linked_queries
        # what the linked queries replace is no parameter, so that checkpoints do not hold it
        if linked_queries:
            del self.query_embed
        if replace_query_feat:
            del self.query_feat
            channels = kwargs["feat_channels"]
            self.querys2feat = nn.Linear(channels, channels)

    def forward(self, x, batch_data_samples=None) -> tuple[list[Tensor], list[Tensor]]:
        """Predict classes and masks of the queries before and after every decoder layer.

        Args:
            x: Four maps (B, C, H/4, W/4) to (B, C, H/32, W/32); with linked queries a pair of
                these and the queries (m, q).
            batch_data_samples: Not used; mmdet's interface.

        Returns:
            Two lists with an entry per layer: class logits (B, m, classes + 1), the last class
            being "no object", and mask logits (B, m, H/4, W/4).
        """
        return self.decode(x).per_layer()

    def decode(self, x) -> Decoded:
        """Run the pixel decoder and the transformer decoder; `x` as for `forward`.

        Returns:
            Predictions in float32, whatever the decoders computed in.
        """
        maps, query_feat, query_embed = self._initial_queries(x)
        mask_features, memories = decode_pixels(self.pixel_decoder, maps)
        values, keys = self._flatten_memories(memories)
        # resizing and products with embeddings commute: masks are made at the size they are used
        small = [
            resize(mask_features.detach(), tuple(memory.shape[-2:])).flatten(2)
            for memory in memories]
        outputs = [self._predict_queries(query_feat)]
        for i, layer in enumerate(self.transformer_decoder.layers):
            level = i % len(memories)
            blocked = outputs[-1][1].detach() @ small[level] < 0
            # a query whose mask is empty looks everywhere instead of nowhere
            blocked = blocked & ~blocked.all(dim=-1, keepdim=True)
            query_feat = decode_layer(
                layer, query_feat, query_embed, keys[level], values[level], blocked)
            outputs.append(self._predict_queries(query_feat))
        cls_preds, mask_embeds = map(torch.stack, zip(*outputs, strict=True))
        return Decoded(cls_preds.float(), mask_embeds.float(), mask_features.float())

    def _predict_queries(self, query_feat: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (B, m, classes + 1) and mask embeddings (B, m, C) of queries."""
        query_feat = self.transformer_decoder.post_norm(query_feat)
        return self.cls_embed(query_feat), self.mask_embed(query_feat)

    def loss(self, x, batch_data_samples, train_cfg=None) -> dict[str, Tensor]:
        """Compute the losses of all decoder layers.

        Args:
            x: As for `forward`.
            batch_data_samples: Of each image, `gt_sem_seg` (1, H, W).
            train_cfg: Not used; mmseg's interface.

        Returns:
            `loss_cls`, `loss_mask`, `loss_dice`, and those of earlier layers as `d0.loss_cls`, ...
        """
        instances, img_metas = self._seg_data_to_instance_data(batch_data_samples)
        decoded = self.decode(x)
        with torch.autocast(decoded.mask_features.device.type, enabled=False):
            if max(len(gt.labels) for gt in instances) <= self.num_queries:
                return mask2former_losses(self, decoded, instances)
            return self.loss_by_feat(*decoded.per_layer(), instances, img_metas)

    def _initial_queries(self, x) -> tuple[Pyramid, Tensor, Tensor]:
        """Separate the maps; return them with query contents and positions, each (B, m, q)."""
        if self.linked_queries:
            if len(x) != 2 or x[1].ndim != 2:
                raise ValueError(
                    "the backbone gives no queries: its adapter needs link_token_to_query=True, "
                    "or the head linked_queries=False.")
            maps, query_embed = x
        else:
            maps, query_embed = x, self.query_embed.weight
        if query_embed.shape[0] != self.num_queries:
            raise ValueError(
                f"the adapter gives {query_embed.shape[0]} queries (its token_length), the head "
                f"has num_queries={self.num_queries}; they have to be equal.")
        query_feat = (
            self.querys2feat(query_embed) if self.replace_query_feat else self.query_feat.weight)
        maps = Pyramid.of(maps)
        batch_size = len(maps.maps[0])
        return (
            maps, query_feat.expand(batch_size, -1, -1), query_embed.expand(batch_size, -1, -1))

    def _flatten_memories(self, memories: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Turn memories (B, C, h, w) into decoder values and keys, each (B, h * w, C)."""
        values, keys = [], []
        for level, memory in enumerate(memories):
            value = self.decoder_input_projs[level](memory).flatten(2).transpose(1, 2)
            values.append(value + self.level_embed.weight[level])
            keys.append(values[-1] + embed_places(self.decoder_positional_encoding, memory))
        return values, keys

    def predict(self, x, batch_img_metas: list[dict], test_cfg) -> Tensor:
        """Predict class scores of every pixel.

        Args:
            x: As for `forward`.
            batch_img_metas: Of each image, `img_shape` or `pad_shape` (H, W).
            test_cfg: Not used; mmseg's interface.

        Returns:
            (B, classes, H, W): for each class the sum over the queries of class probability
            times mask probability.
        """
        decoded = self.decode(x)
        with torch.autocast(decoded.mask_features.device.type, enabled=False):
            return self._class_scores(decoded, batch_img_metas[0])

    def _class_scores(self, decoded: Decoded, img_meta: dict) -> Tensor:
        """Scores (B, classes, H, W) from the last layer's predictions."""
        masks = decoded.mask_preds(-1)
        # masks cover the image as the backbone padded it: undo that, do not squeeze it
        padded = tuple(FINEST_STRIDE * side for side in masks.shape[-2:])
        height, width = _input_size(img_meta, padded)
        masks = resize(masks, padded)[..., :height, :width].sigmoid()
        classes = decoded.cls_preds[-1].softmax(dim=-1)[..., :-1]
        return torch.einsum("bqc,bqhw->bchw", classes, masks)


def _input_size(img_meta: dict, padded: tuple[int, int]) -> tuple[int, int]:
    """Return the (H, W) of the network's input.

    It is mmseg's `pad_shape` where the data preprocessor padded, else `img_shape`; for a sliding
    window mmseg sets `img_shape` only. The backbone pads by less than a patch.
    """
    sizes = [tuple(img_meta[k][:2]) for k in ("pad_shape", "img_shape") if k in img_meta]
    for size in sizes:
        if all(0 <= p - s < 32 for p, s in zip(padded, size, strict=True)):
            return size
    return min(sizes[-1][0], padded[0]), min(sizes[-1][1], padded[1])
