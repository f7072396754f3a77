"""The encoder-only mask head trains, predicts in windows, saves, and refuses what does not fit."""

import pytest
import torch
import torch.nn.functional as F
from conftest import build, tiny_model_config
from tiny_encoder_only import ADAPTERS, QUERIES, encoder_only_config, encoder_only_model
from tiny_rein import batch

from rein import checkpoint as ckpt
from rein.engine.training.compiling import compile_model
from rein.errors import UserError
from rein.models.decode_heads import encoder_only_head
from rein.models.freezing import trained_state_dict


def total(losses):
    return sum(value for name, value in losses.items() if "loss" in name)


def test_every_prediction_has_losses_and_all_trained_weights_get_gradients():
    model = encoder_only_model(ADAPTERS["rein"], precision="bf16", with_cp=True).train()
    losses = model(*batch(), mode="loss")
    assert {name.removeprefix("decode.") for name in losses} == {
        f"{prefix}loss_{name}" for prefix in ("d0.", "d1.", "") for name in ("cls", "mask", "dice")}
    total(losses).backward()
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, grad in trained.items() if grad is None or not grad.any()] == []


def test_a_small_batch_is_learned_while_masks_are_annealed(progress):
    model = encoder_only_model(dict(QUERIES, num_queries=12)).train()
    inputs, samples = batch()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    torch.manual_seed(0)
    found = []
    for step in range(40):
        progress(step / 40)
        optimizer.zero_grad()
        loss = total(model(inputs, samples, mode="loss"))
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < 0.2 * found[0]
    with torch.no_grad():
        results = model.eval()(inputs, samples, mode="predict")
    right = [r.pred_sem_seg.data == r.gt_sem_seg.data for r in results]
    assert torch.stack(right).float().mean() > 0.95


@torch.no_grad()
def test_scores_are_class_times_mask_probabilities():
    model = encoder_only_model().eval()
    images, _ = batch(64, 96)
    feats = model.extract_feat(images)
    found = feats.queries[-1]
    masks = torch.einsum("bqc,bchw->bqhw", found.embeds, found.feats)
    masks = F.interpolate(masks, (64, 96), mode="bilinear").sigmoid()
    classes = model.decode_head.cls_embed(found.queries).softmax(-1)[..., :-1]
    expected = torch.einsum("bqc,bqhw->bchw", classes, masks)
    scores = model.decode_head.predict(feats, [dict(img_shape=(64, 96))] * 2, None)
    torch.testing.assert_close(scores, expected)


@torch.no_grad()
def test_target_masks_are_padded_like_images(monkeypatch):
    def sizes(head, decoded, instances):
        return dict(sizes={tuple(gt.masks.shape[1:]) for gt in instances})

    monkeypatch.setattr(encoder_only_head, "mask2former_losses", sizes)
    model, (images, samples) = encoder_only_model(img_size=70, patch_size=14).eval(), batch()
    found = model.decode_head.loss(model.extract_feat(images), samples)
    assert found == dict(sizes={(70, 70)})


@torch.no_grad()
def test_windows_of_any_size_are_predicted():
    model = encoder_only_model(ADAPTERS["vpt"]).eval()
    for size in ((64, 150), (50, 70)):  # several windows; windows smaller than patches, padded
        result, _ = model(*batch(*size), mode="predict")
        assert result.pred_sem_seg.data.shape == (1, *size)


@torch.no_grad()
def test_parts_are_saved_and_merged_without_change():
    model = encoder_only_model(ADAPTERS["rein"]).eval()
    backbone, trained = ckpt.split(model.state_dict())
    assert trained_state_dict(model).keys() == trained.keys()
    assert all(name.startswith(("backbone.reins.", "decode_head.cls_embed.")) for name in trained)
    torch.manual_seed(5)
    other = build(encoder_only_config(ADAPTERS["rein"])).eval()
    other.load_state_dict(ckpt.merge(backbone, trained))
    images, _ = batch()
    assert torch.equal(other(images)[0][0], model(images)[0][0])


@pytest.mark.faults
def test_compilation_keeps_losses():
    model = encoder_only_model(dict(QUERIES, num_blocks=1), depth=2).train()
    torch.manual_seed(1)
    expected = total(model(*batch(), mode="loss"))
    compile_model(model, backend="eager")
    torch.manual_seed(1)
    torch.testing.assert_close(total(model(*batch(), mode="loss")), expected)


def test_what_does_not_fit_is_refused_with_one_line():
    def run(cfg):
        return build(cfg).train()(*batch(), mode="loss")

    cfg = encoder_only_config()
    with pytest.raises(UserError, match="needs an adapter EncoderOnlyQueries"):
        run(dict(cfg, backbone=dict(cfg.backbone, reins_config=dict(type="BitFit"))))
    with pytest.raises(UserError, match="in_channels=16, but the queries have 32 channels"):
        run(dict(cfg, decode_head=dict(cfg.decode_head, in_channels=16)))
    with pytest.raises(UserError, match="4 classes, but the adapter has num_queries=3"):
        run(encoder_only_config(dict(QUERIES, num_queries=3)))
    run(encoder_only_config(dict(QUERIES, num_queries=4)))
    with pytest.raises(UserError, match="EncoderOnlyHead has no argument 'num_class'"):
        run(dict(cfg, decode_head=dict(cfg.decode_head, num_class=4)))
    with pytest.raises(UserError, match="linked_queries=False"):
        run(dict(cfg, decode_head=tiny_model_config().decode_head))
