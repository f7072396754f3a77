"""Load weight files into the tiny model and run it."""

import torch
from conftest import build, tiny_model_config

from rein import checkpoint as ckpt
from rein.engine.weights.loading import load_for_testing


def outputs(model):
    model.eval()
    torch.manual_seed(1)
    with torch.no_grad():
        return model.encode_decode(torch.randn(1, 3, 64, 64), [dict(img_shape=(64, 64))])


def loaded(path, backbone=None):
    model = build(tiny_model_config())
    load_for_testing(model, ckpt.load_file(path), path, backbone)
    return outputs(model)
