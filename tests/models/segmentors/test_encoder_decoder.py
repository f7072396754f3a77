"""Predictions have any size and equal mmseg's, in batched windows and without logits."""

import copy

import pytest
import torch
from conftest import build
from mmseg.models import EncoderDecoder
from mmseg.structures import SegDataSample
from tiny_rein import batch

from rein.errors import UserError
from rein.models.freezing import count_parameters, trained_state_dict
from rein.models.segmentors.pixels import resized_argmax


def samples(number, size, ori_shape=None, **meta):
    meta.update(img_shape=size, ori_shape=ori_shape or size)
    return [SegDataSample(metainfo=dict(meta)) for _ in range(number)]


@pytest.fixture
def model(tiny_model):
    torch.nn.init.normal_(tiny_model.decode_head.cls_embed.weight)  # predicts several classes
    return tiny_model.eval()


@pytest.mark.parametrize("size, stride, window_batch", [
    ((64, 64), (43, 43), 1), ((100, 151), (43, 43), 4), ((140, 70), (50, 64), 3),
    ((40, 100), (64, 37), 2), ((30, 41), (43, 43), 8)])
@pytest.mark.parametrize("images", [1, 2])
def test_batched_windows_give_mmsegs_logits(model, size, stride, window_batch, images):
    model.test_cfg.update(stride=stride, window_batch=window_batch)
    inputs = torch.randn(images, 3, *size)
    batches = []
    model.backbone.register_forward_pre_hook(lambda _, given: batches.append(len(given[0])))
    with torch.no_grad():
        found = model.slide_inference(inputs, [{} for _ in range(images)])
        assert max(batches) <= max(window_batch, images)
        expected = EncoderDecoder.slide_inference(model, inputs, [{} for _ in range(images)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("step", ["test_step", "val_step"])
def test_a_batch_of_mixed_sizes_is_predicted_image_by_image(model, step):
    sizes = [(64, 96), (70, 64), (64, 96)]
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes]
    packed = dict(inputs=images, data_samples=[samples(1, size)[0] for size in sizes])
    with torch.no_grad():
        found = getattr(model, step)(copy.deepcopy(packed))
        for i, sample in enumerate(found):
            one, = model.test_step({key: values[i:i + 1] for key, values in packed.items()})
            assert torch.equal(sample.pred_sem_seg.data, one.pred_sem_seg.data)
            assert sample.pred_sem_seg.shape == sizes[i]


def test_windows_in_mixed_precision_give_mmsegs_logits(model):
    model.test_cfg.window_batch = 4
    inputs = torch.randn(1, 3, 100, 151)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = model.slide_inference(inputs, [{}])
        expected = EncoderDecoder.slide_inference(model, inputs, [{}])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.02 * expected.abs().max().item(), rtol=0)


@pytest.mark.parametrize("meta", [
    {}, dict(ori_shape=(150, 203)), dict(ori_shape=(50, 61), img_padding_size=(0, 7, 0, 4)),
    dict(flip=True, flip_direction="horizontal")])
def test_classes_are_the_same_with_and_without_logits(model, meta):
    logits, given = torch.randn(2, 19, 80, 100), samples(2, (80, 100), **meta)
    expected = model.postprocess_result(logits, copy.deepcopy(given))
    model.keep_logits = False
    found = model.postprocess_result(logits, given)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.pred_sem_seg.data, other.pred_sem_seg.data)
        assert other.seg_logits.data.shape[1:] == other.ori_shape
        assert "seg_logits" not in one


def test_ties_go_to_the_first_class():
    logits = torch.randint(0, 3, (5, 20, 30)).float()
    assert torch.equal(resized_argmax(logits, (20, 30)), logits.argmax(0))


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
        result = model(torch.randn(1, 3, *size), samples(1, size), mode="predict")[0]
    assert result.seg_logits.data.shape == (19, *size)
    assert result.pred_sem_seg.data.shape == (1, *size)


def test_an_image_without_labels_trains_with_a_finite_loss(tiny_model):
    inputs, labels = batch()
    labels[1].gt_sem_seg.data.fill_(255)
    losses = tiny_model(inputs, labels, mode="loss")
    total = sum(losses.values())
    total.backward()
    assert total.isfinite()


def test_full_fine_tuning_trains_and_saves_everything(tiny_config):
    tiny_config.backbone.type = "DinoVisionTransformer"
    tiny_config.backbone.pop("reins_config")
    tiny_config.decode_head.update(linked_queries=False, replace_query_feat=False)
    model = build(tiny_config)
    assert trained_state_dict(model).keys() == model.state_dict().keys()
    count = count_parameters(model)
    assert count.trainable == count.total


@pytest.mark.parametrize("keep_logits", [True, False])
def test_one_class_is_predicted_everywhere(tiny_config, keep_logits):
    head = tiny_config.decode_head
    head.num_classes = 1
    head.loss_cls.class_weight = [1.0, 0.1]
    model = build(tiny_config).eval()
    model.keep_logits = keep_logits
    inputs, data = batch(64, 64)
    with torch.no_grad():
        found = model(inputs, data, mode="predict")
    for sample in found:
        assert sample.pred_sem_seg.data.dtype == torch.int64
        assert not sample.pred_sem_seg.data.any()
        assert ("seg_logits" in sample) == keep_logits


def test_logits_of_one_channel_are_dropped_and_thresholded(tiny_model):
    tiny_model.out_channels, tiny_model.decode_head.threshold = 1, 0.5
    tiny_model.keep_logits = False
    logits = torch.tensor([[[[-2.0, 2.0]]]])
    found, = tiny_model.postprocess_result(logits, samples(1, (1, 2)))
    assert found.pred_sem_seg.data.tolist() == [[[0, 1]]] and "seg_logits" not in found


@pytest.mark.parametrize("keep_logits", [True, False])
def test_confidence_is_kept_on_request_and_leaves_the_classes(model, keep_logits):
    model.keep_logits = keep_logits
    inputs, given = torch.randn(2, 3, 70, 90), samples(2, (70, 90), (100, 130))
    with torch.no_grad():
        plain = model(inputs, copy.deepcopy(given), mode="predict")
        model.keep_confidence = True
        found = model(inputs, given, mode="predict")
    for one, other in zip(found, plain, strict=True):
        assert torch.equal(one.pred_sem_seg.data, other.pred_sem_seg.data)
        assert one.confidence.data.shape == (1, 100, 130)
        assert one.confidence.data.dtype == torch.float32
        assert "confidence" not in other


class LimitedMemory:
    """Lets a model's memory hold `limit` windows at a time."""

    def __init__(self, model, limit):
        self.limit, self.batches, self.original = limit, [], model.encode_decode

    def __call__(self, crops, metas):
        self.batches.append(len(crops))
        if len(crops) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.original(crops, metas)


def test_windows_that_exceed_the_memory_run_in_smaller_batches(model, monkeypatch):
    model.test_cfg.window_batch = 8
    inputs, said = torch.randn(2, 3, 150, 150), []
    memory = LimitedMemory(model, 3)
    monkeypatch.setattr(model, "encode_decode", memory)
    monkeypatch.setattr(
        "rein.models.segmentors.encoder_decoder.print_log", lambda text, *_: said.append(text))
    with torch.no_grad():
        found = model.slide_inference(inputs, [{}, {}])
        again = model.slide_inference(inputs, [{}, {}])
        memory.limit = 8
        model.test_cfg.window_batch = 8
        expected = model.slide_inference(inputs, [{}, {}])
    assert memory.batches[:3] == [8, 4, 2]
    assert sum(batch > 3 for batch in memory.batches[:-4]) == 2  # and never again
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(found, again)
    assert said == [f"cpu has no memory left for {n} windows at once: continuing with {n // 2}."
                    for n in (8, 4)]


def test_a_single_window_that_exceeds_the_memory_is_a_users_error(model, monkeypatch):
    monkeypatch.setattr(model, "encode_decode", LimitedMemory(model, 0))
    with pytest.raises(UserError, match="one window of 64 x 50 pixels. End other programs"):
        model.slide_inference(torch.randn(1, 3, 50, 90), [{}])
