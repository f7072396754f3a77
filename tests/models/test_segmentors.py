import pytest
import torch
from conftest import build
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from rein.errors import UserError
from rein.models.freezing import count_parameters, trained_state_dict


def sample(height=64, width=64):
    label = torch.zeros(1, height, width, dtype=torch.long)
    label[:, height // 2:] = 10
    label[:, :, :8] = 255
    return SegDataSample(
        metainfo=dict(img_shape=(height, width), ori_shape=(height, width)),
        gt_sem_seg=PixelData(data=label))


def test_published_config_has_the_published_parameter_counts(published_config):
    with torch.device("meta"):
        model = build(published_config.model)
    assert count_parameters(model.backbone).trainable == 2_990_081
    assert count_parameters(model).trainable == 23_569_877
    assert "7.19 %" in str(count_parameters(model))


@pytest.mark.parametrize("size", [(64, 64), (70, 101), (40, 150)])
@pytest.mark.parametrize("mode", ["slide", "whole"])
def test_any_image_size_gives_logits_of_that_size(tiny_config, size, mode):
    tiny_config.test_cfg.mode = mode
    model = build(tiny_config).eval()
    with torch.no_grad():
        result = model(torch.randn(1, 3, *size), [sample(*size)], mode="predict")[0]
    assert result.seg_logits.data.shape == (19, *size)
    assert result.pred_sem_seg.data.shape == (1, *size)


def test_padding_crops_masks_instead_of_squeezing_them(tiny_model):
    """An image and its zero-padded version give equal results where they overlap."""
    tiny_model.eval()
    image = torch.zeros(1, 3, 64, 64)
    image[..., :56, :50] = torch.randn(3, 56, 50)
    with torch.no_grad():
        whole = tiny_model.encode_decode(image, [dict(img_shape=(64, 64))])
        part = tiny_model.encode_decode(image[..., :56, :50], [dict(img_shape=(56, 50))])
    torch.testing.assert_close(part, whole[..., :56, :50])


def test_an_image_without_labels_trains_with_a_finite_loss(tiny_model):
    empty = sample()
    empty.gt_sem_seg.data.fill_(255)
    losses = tiny_model(torch.randn(2, 3, 64, 64), [sample(), empty], mode="loss")
    total = sum(losses.values())
    total.backward()
    assert total.isfinite()


def test_frozen_baseline_trains_and_saves_the_head_alone(tiny_config):
    tiny_config.type = "FrozenBackboneEncoderDecoder"
    tiny_config.backbone.type = "DinoVisionTransformer"
    tiny_config.backbone.pop("reins_config")
    tiny_config.decode_head.update(linked_queries=False, replace_query_feat=False)
    model = build(tiny_config).train()
    assert not model.backbone.training
    assert all(name.startswith("decode_head.") for name in trained_state_dict(model))
    sum(model(torch.randn(1, 3, 64, 64), [sample()], mode="loss").values()).backward()
    assert all(p.grad is None for p in model.backbone.parameters())


def test_full_fine_tuning_trains_and_saves_everything(tiny_config):
    tiny_config.backbone.type = "DinoVisionTransformer"
    tiny_config.backbone.pop("reins_config")
    tiny_config.decode_head.update(linked_queries=False, replace_query_feat=False)
    model = build(tiny_config)
    assert trained_state_dict(model).keys() == model.state_dict().keys()
    count = count_parameters(model)
    assert count.trainable == count.total


def test_different_numbers_of_queries_and_tokens_are_refused(tiny_config):
    tiny_config.decode_head.num_queries = 9
    with pytest.raises(UserError, match="8 queries.*num_queries=9"):
        build(tiny_config)(torch.randn(1, 3, 64, 64), [sample()], mode="loss")
