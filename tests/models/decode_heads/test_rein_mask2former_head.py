import pytest
import torch
from conftest import build, tiny_model_config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from tiny_head import inputs, samples

from rein.errors import UserError
from rein.models.decode_heads.mask_losses import Decoded
from rein.models.pyramid import Pyramid


def test_images_without_labels_give_finite_losses(head):
    for batch in (samples(classes=1), samples()):
        batch[0].gt_sem_seg.data[:] = 255
        losses = head.loss(inputs(), batch, None)
        assert all(torch.isfinite(loss) for loss in losses.values())
        sum(losses.values()).backward()
    both = samples()
    for sample in both:
        sample.gt_sem_seg.data[:] = 255
    assert all(torch.isfinite(loss) for loss in head.loss(inputs(), both, None).values())


def test_more_segments_than_queries_are_left_to_mmdet(head):
    losses = head.loss(inputs(), samples(classes=19), None)
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_different_numbers_of_queries_and_tokens_are_refused(tiny_config):
    tiny_config.decode_head.num_queries = 9
    with pytest.raises(UserError, match="8 queries.*num_queries=9"):
        build(tiny_config)(torch.randn(1, 3, 64, 64), samples(batch=1), mode="loss")


def test_missing_queries_are_named(head, tiny_config):
    feats = inputs()
    with pytest.raises(UserError, match="backbone provides none.*linked_queries=False"):
        head.loss(Pyramid(feats.maps, feats.sizes), samples(), None)
    tiny_config.decode_head.update(linked_queries=False, replace_query_feat=True)
    with pytest.raises(ValueError, match="replace_query_feat=True needs linked_queries=True"):
        build(tiny_config)


def test_padding_crops_masks_instead_of_squeezing_them(tiny_model):
    """An image and its zero-padded version give equal results where they overlap."""
    tiny_model.eval()
    image = torch.zeros(1, 3, 64, 64)
    image[..., :56, :50] = torch.randn(3, 56, 50)
    with torch.no_grad():
        whole = tiny_model.encode_decode(image, [dict(img_shape=(64, 64))])
        part = tiny_model.encode_decode(image[..., :56, :50], [dict(img_shape=(56, 50))])
    torch.testing.assert_close(part, whole[..., :56, :50])


def test_masks_do_not_shift_where_the_backbone_pads():
    """Patch 14 pads 64 to 70 pixels: target masks cover all 70, results only the image."""
    cfg = tiny_model_config()
    cfg.backbone.update(img_size=70, patch_size=14)
    model = build(cfg)
    feats = model.extract_feat(torch.randn(1, 3, 64, 64))
    label = torch.zeros(1, 64, 64, dtype=torch.long)
    label[:, :, 32:] = 1
    sample = SegDataSample(gt_sem_seg=PixelData(data=label))
    instances, _ = model.decode_head._seg_data_to_instance_data([sample])
    model.decode_head._seg_data_to_instance_data = lambda samples: (instances, [{}])
    model.decode_head.loss(feats, [sample])
    masks = instances[0].masks
    assert masks.shape == (2, 70, 70)
    assert not masks[:, 64:].any() and not masks[:, :, 64:].any() and masks[1, :64, 32:64].all()

    features = torch.full((1, 1, 17, 17), -1.0)
    features[..., 8:] = 1  # the edge is 8/17 of 70 pixels from the left
    decoded = Decoded(torch.zeros(1, 1, 1, 20), torch.full((1, 1, 1, 1), 8.0), features)
    scores = model.decode_head._class_scores(decoded, (70, 70), dict(img_shape=(64, 64)))
    assert scores.shape == (1, 19, 64, 64)
    row = scores[0, 0, 0]
    assert int((row < row.max() / 2).sum()) == round(8 / 17 * 70)
