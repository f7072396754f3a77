import torch
from conftest import dino, official

from rein import checkpoint as ckpt
from rein.checkpoint.description import describe
from rein.models.freezing import trained_state_dict


def test_a_training_checkpoint_is_described_with_its_training(tiny_model):
    fingerprint = ckpt.fingerprint(dino().state_dict())
    meta = {"cfg": "model = dict()", "iter": 7, ckpt.FINGERPRINT: fingerprint}
    run = dict(meta=meta, state_dict=trained_state_dict(tiny_model), optimizer={},
               param_schedulers=[], message_hub={})
    rows = describe(run, "iter_7.pth")
    assert rows["head"] == "Mask2Former, 19 classes" and "rank 4" in rows["adapter"]
    assert (rows["trained"], rows["config"], rows["resumable"]) == (
        "7 iterations", "carried", "yes")
    assert rows["trained with"] == f"backbone of fingerprint {fingerprint['digest'][:12]}"
    assert "tools/test.py CONFIG iter_7.pth" in rows["next"]
    total = sum(value.numel() for value in run["state_dict"].values())
    assert rows["parameters"].startswith(f"{total:,} (")


def test_a_segmentors_digest_is_that_of_its_reports(tiny_model):
    weights = tiny_model.state_dict()
    merged = {**weights, "backbone.mask_token": torch.zeros(1, 32)}  # models do without it
    assert describe(merged, "m.pth")["digest"] == ckpt.digest(weights)[:12]
    assert "digest" not in describe(trained_state_dict(tiny_model), "iter_7.pth")


def test_an_original_file_has_no_training_and_is_to_be_converted():
    rows = describe(official(), "raw.pth")
    assert not {"trained", "resumable"} & rows.keys()
    assert rows["next"] == f"{ckpt.CONVERT_COMMAND} raw.pth OUT"
    assert rows["backbone"].endswith("(DINOv2's names)")
