"""The switches for speed and memory keep results, weights and names."""

import copy

import pytest
import torch
from conftest import build, tiny_model_config
from tiny_rein import batch, tiny

from rein.engine.training.compiling import compile_model
from rein.models.pyramid import Pyramid


def losses_and_gradients(model, *size):
    torch.manual_seed(2)
    losses = model.train()(*batch(*size), mode="loss")
    total = sum(value for name, value in losses.items() if "loss" in name)
    trained = [p for p in model.parameters() if p.requires_grad]
    grads = torch.autograd.grad(total, trained, allow_unused=True)
    return torch.cat([total[None].detach(), *(g.flatten() for g in grads if g is not None)])


def saved_bytes(backbone):
    """Measure the memory that the backbone's graph holds."""
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in backbone.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = backbone(batch(256, 256)[0])
    del kept
    return sum(size for pointer, size in storages.items() if pointer not in weights)


def test_checkpointing_gives_the_same_gradients_from_less_memory():
    plain, saving = tiny(), tiny(with_cp=True)
    found, expected = losses_and_gradients(saving), losses_and_gradients(plain)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert saved_bytes(saving.backbone) < 0.5 * saved_bytes(plain.backbone)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_checkpointing_works_in_half_precision(dtype):
    plain, saving = tiny(), tiny(with_cp=True)
    with torch.autocast("cpu", dtype):
        found, expected = losses_and_gradients(saving), losses_and_gradients(plain)
    assert abs(found[0] - expected[0]) < 0.01 * expected[0]
    assert torch.cosine_similarity(found[1:], expected[1:], dim=0) > 0.999


@pytest.mark.faults  # each switch by itself is tested below and above
def test_all_switches_work_together():
    """Checkpointing, bf16 and compilation keep the plain model's loss and gradient direction."""
    plain, fast = tiny(), tiny(with_cp=True)
    fast.precision = "bf16"
    compile_model(fast, backend="aot_eager")
    found, expected = losses_and_gradients(fast), losses_and_gradients(plain)
    assert abs(found[0] - expected[0]) < 0.01 * expected[0]
    assert torch.cosine_similarity(found[1:], expected[1:], dim=0) > 0.99


def test_bf16_is_close_to_fp32_and_keeps_the_weights_in_fp32():
    model = tiny()
    expected = losses_and_gradients(model)
    low = copy.deepcopy(model)
    low.precision = "bf16"
    found = losses_and_gradients(low)
    assert abs(found[0] - expected[0]) < 0.01 * expected[0]
    assert torch.cosine_similarity(found[1:], expected[1:], dim=0) > 0.99
    assert not torch.equal(found, expected)
    assert all(p.dtype == torch.float32 for p in low.parameters())
    inputs, samples = batch(100, 140)
    with torch.no_grad():
        maps = [one.eval()(inputs, copy.deepcopy(samples), mode="predict") for one in (low, model)]
    equal = [a.pred_sem_seg.data == b.pred_sem_seg.data for a, b in zip(*maps, strict=True)]
    assert torch.stack(equal).float().mean() > 0.95  # an untrained model has close logits
    with pytest.raises(ValueError, match="precision='fp8'"):
        build(dict(tiny_model_config(), precision="fp8"))


def test_compilation_keeps_results_at_every_size_and_names():
    model = tiny()
    names = list(model.state_dict())
    sizes = (64, 64), (64, 96)
    expected = [losses_and_gradients(model, *size) for size in sizes]
    compile_model(model, backend="eager")
    for size, wanted in zip(sizes, expected, strict=True):
        found = losses_and_gradients(model, *size)
        assert (found - wanted).norm() < 1e-3 * wanted.norm()
    assert list(model.state_dict()) == names


def test_the_decoder_compiles_as_one_graph():
    """On a GPU, no step waits for the device or falls back to Python."""
    head = tiny().decode_head
    for decoder in (head.pixel_decoder.encoder, head.transformer_decoder):
        decoder.layers = decoder.layers[:1]  # tracing is slow
    maps = Pyramid(
        [torch.randn(2, 32, 4, 6) for _ in range(4)], [(16, 24), (8, 12), (4, 6), (2, 3)],
        queries=torch.randn(8, 16))
    compiled = torch.compile(head.decode, backend="eager", fullgraph=True)
    for found, expected in zip(compiled(maps), head.decode(maps), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
