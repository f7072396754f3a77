"""A GPU gives the CPU's results; skipped without a GPU."""

import copy

import pytest
import torch
from tiny_rein import batch, tiny

from rein.engine.training.compiling import compile_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def models():
    model = tiny().eval()
    return model, copy.deepcopy(model).cuda()


def predictions(model, inputs, samples):
    with torch.no_grad():
        found = model(inputs, copy.deepcopy(samples), mode="predict")
    return torch.stack([sample.pred_sem_seg.data.cpu() for sample in found])


def test_features_and_masks(models):
    inputs, _ = batch(96, 64)
    cpu, gpu = models
    for one, other in zip(cpu.decode_head.decode(cpu.extract_feat(inputs)),
                          gpu.decode_head.decode(gpu.extract_feat(inputs.cuda())), strict=True):
        torch.testing.assert_close(other.cpu(), one, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("precision, compiled", [("fp32", False), ("bf16", False), ("bf16", True)])
def test_predictions_in_batched_windows(models, precision, compiled):
    inputs, samples = batch(112, 160)
    cpu, gpu = models
    gpu.precision = precision
    if compiled:
        compile_model(gpu)
    equal = predictions(gpu, inputs.cuda(), samples) == predictions(cpu, inputs, samples)
    assert equal.float().mean() > (0.999 if precision == "fp32" else 0.95)


@pytest.mark.parametrize("precision, compiled", [("fp32", False), ("bf16", True)])
def test_losses_and_gradients(models, precision, compiled):
    """Points are drawn separately on each device, so means over several draws are compared."""
    inputs, samples = batch()
    means = []
    for model in models:
        device = next(model.parameters()).device
        if device.type == "cuda":
            model.precision = precision
            if compiled:
                compile_model(model)
        placed = [copy.deepcopy(sample).to(device) for sample in samples]
        totals = []
        for seed in range(10):
            torch.manual_seed(seed)
            losses = model.train()(inputs.to(device), placed, mode="loss")
            total = sum(value for name, value in losses.items() if "loss" in name)
            grad, = torch.autograd.grad(total, model.backbone.reins.mlp_delta_f.weight)
            totals.append(torch.stack((total, grad.norm())).detach().cpu())
        means.append(torch.stack(totals).mean(0))
    torch.testing.assert_close(means[1], means[0], atol=0, rtol=0.05)
