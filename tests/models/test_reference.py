"""The whole model gives the numbers of the published implementation."""

import json
import math

import pytest
import torch
from conftest import build, check_features
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from rein.models.freezing import trained_state_dict

DRAWS = 200  # the reference gradients are means of 60 draws, with 8 % error


def published_name(name):
    return name.replace("backbone.model.", "backbone.")


@pytest.fixture(scope="module")
def model(reference_config, numbers):
    model = build(reference_config.model)
    model.load_state_dict(numbers["state_dict"], strict=True)
    return model


def test_features_and_queries(model, numbers):
    check_features(model, numbers)


def test_logits_and_predictions_through_the_whole_test_path(model, numbers):
    model.eval()
    image = numbers["image"]
    sample = SegDataSample(metainfo=dict(ori_shape=image.shape[:2], img_shape=image.shape[:2]))
    data = model.data_preprocessor(
        dict(inputs=[image.permute(2, 0, 1)], data_samples=[sample]), False)
    with torch.no_grad():
        result = model(**data, mode="predict")[0]
    torch.testing.assert_close(result.seg_logits.data, numbers["seg_logits"], atol=1e-3, rtol=0)
    assert torch.equal(result.pred_sem_seg.data, numbers["pred"])


def test_trainable_and_saved_parameters_are_the_published_ones(model, numbers, reference):
    trains = [published_name(name) for name, p in model.named_parameters() if p.requires_grad]
    assert sorted(trains) == sorted(numbers["trainable"])
    saved = json.loads((reference / "tiny_lora_published_keys.json").read_text())
    assert sorted(trained_state_dict(model)) == sorted(saved)


def test_losses_and_gradients(model, numbers):
    """Only the sampled points are random, so one forward pass serves many draws of the losses."""
    model.train()
    torch.manual_seed(0)
    samples = [
        SegDataSample(metainfo=dict(img_shape=(64, 64)), gt_sem_seg=PixelData(data=seg[None]))
        for seg in numbers["seg"]
    ]
    head = model.decode_head
    instances, metas = head._seg_data_to_instance_data(samples)
    outputs = head(model.extract_feat(numbers["x"]))
    leaves = [[t.detach().requires_grad_() for t in part] for part in outputs]
    sums = {}
    for _ in range(DRAWS):
        losses = head.loss_by_feat(*leaves, instances, metas)
        sum(losses.values()).backward()
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0) + loss.item()
    model.zero_grad()
    torch.autograd.backward(
        [t for part in outputs for t in part],
        [t.grad / DRAWS for part in leaves for t in part])

    assert sums.keys() == numbers["loss_stats"].keys()
    for name, (expected, deviation) in numbers["loss_stats"].items():
        standard_error = deviation * math.sqrt(1 / DRAWS + 1 / 200)
        allowed = max(0.002 * expected, 3 * standard_error)
        assert abs(sums[name] / DRAWS - expected) < allowed, name
    grads = {published_name(name): p.grad for name, p in model.named_parameters()}
    for name, expected in numbers["grads"].items():
        assert (grads[name] - expected).norm() < 0.1 * expected.norm(), name
