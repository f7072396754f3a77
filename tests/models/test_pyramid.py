import torch
from conftest import build, tiny_model_config
from tiny_backbone import SMALL

from rein.models import DinoVisionTransformer
from rein.models.pyramid import Pyramid


def test_the_pyramid_has_the_padded_image_size():
    backbone = DinoVisionTransformer(**{**SMALL, "img_size": 70}, patch_size=14)
    feats = backbone(torch.randn(1, 3, 64, 90))
    assert feats.image_size == (70, 98)
    assert [tuple(x.shape[2:]) for x in feats] == [(17, 24), (8, 12), (4, 6), (2, 3)]


def test_queries_bypass_a_neck():
    cfg = tiny_model_config()
    cfg.neck = dict(
        type="MultiLevelNeck", in_channels=[32] * 4, out_channels=32, scales=[1, 1, 1, 1])
    model = build(cfg).eval()
    feats = model.extract_feat(torch.randn(1, 3, 64, 64))
    assert feats.queries.shape == (8, 16) and feats.image_size == (64, 64)


def test_maps_are_resized_on_access_and_kept_as_computed():
    maps = [torch.randn(1, 2, 4, 4) for _ in range(2)]
    pyramid = Pyramid(maps, [(16, 16), (4, 4)])
    assert len(pyramid) == 2 and pyramid.image_size == (64, 64)
    assert pyramid[0].shape == (1, 2, 16, 16) and pyramid.maps[0] is maps[0]
    assert pyramid[1] is maps[1] and pyramid[-1] is maps[1]
    assert [x.shape[-1] for x in pyramid[:]] == [x.shape[-1] for x in pyramid] == [16, 4]


def test_plain_maps_are_wrapped_and_a_pyramid_is_returned_unchanged():
    maps, queries = [torch.randn(1, 2, 16, 12)], torch.randn(3, 4)
    wrapped = Pyramid.of(maps)
    assert wrapped.sizes == ((16, 12),) and wrapped.image_size == (64, 48)
    assert wrapped.queries is None and Pyramid.of(wrapped) is wrapped
    like = Pyramid(maps, [(16, 12)], queries, image_size=(63, 45))
    again = Pyramid.of(maps, like)
    assert again.queries is queries and again.image_size == (63, 45)
