"""Frozen linear layers in int8 for prediction on a CPU.

Weights get a scale for each output channel, inputs one for each token, as in LLM.int8()
(Dettmers et al., arXiv:2208.07339), section 3: DINOv2 has tokens of many times the others' norm
(Darcet et al., arXiv:2309.16588), and one scale for all would leave the others few levels.
"""

import warnings

import torch
from torch import Tensor, nn

from rein.errors import UserError

ENGINES = ("onednn", "x86", "fbgemm", "qnnpack")
"""torch's libraries of int8 kernels, best first."""


class Int8Linear(nn.Module):
    """A linear layer with products in int8; it only predicts, and has no parameters.

    Args:
        linear (nn.Linear): The layer, float32 on the CPU; its weights are not kept.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach()
        scales = weight.abs().amax(1).clamp(min=torch.finfo(weight.dtype).tiny) / 127
        with warnings.catch_warnings():
            # what replaces them in torch, torchao, is slow without a compiler
            warnings.filterwarnings("ignore", message="torch.quantize_per_tensor, torch.quantize")
            quantized = torch.quantize_per_channel(
                weight, scales, torch.zeros_like(scales, dtype=torch.int64), 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(quantized, None)
        self.bias = None if linear.bias is None else linear.bias.detach().clone()
        # without VNNI, sums of two products saturate unless inputs lose a bit
        self.reduce_range = not torch.cpu._is_vnni_supported()

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features), float32."""
        x = x.float()
        scales = torch.linalg.vector_norm(x, torch.inf, -1, keepdim=True)
        scales = scales.clamp(min=torch.finfo(x.dtype).tiny)
        out = torch.ops.quantized.linear_dynamic(x / scales, self.packed, self.reduce_range)
        return out.mul_(scales) if self.bias is None else torch.addcmul(
            self.bias, out, scales, out=out)


def quantize_frozen(model: nn.Module) -> nn.Module:
    """Turn the frozen linear layers of a segmentor's backbone into int8, in place.

    Load its weights first: they need a quarter of the memory then, but are in no state dict any
    more. Adapter and head stay as they are.

    Args:
        model: A segmentor on the CPU.

    Returns:
        The model.

    Raises:
        UserError: The model is not on the CPU, or nothing of its backbone is frozen.
    """
    device = next(model.parameters()).device
    if device.type != "cpu":
        raise UserError(f"int8 is for CPUs, but the model is on {device}. Leave it out, or hide "
                        "the GPU: CUDA_VISIBLE_DEVICES= before the command.")
    _choose_engine()
    found = [(parent, name, layer) for parent in model.backbone.modules()
             for name, layer in parent.named_children() if _can_be_int8(parent, layer)]
    if not found:
        raise UserError("int8 is for frozen backbones, and this model's backbone has no frozen "
                        "linear layer: all of it was trained. Leave it out.")
    for parent, name, layer in found:
        setattr(parent, name, Int8Linear(layer))
    return model


def _can_be_int8(parent: nn.Module, layer: nn.Module) -> bool:
    """Tell whether a layer is a frozen linear one that is called, not taken for its weight."""
    # timm's EVA and BEiT put their biases together and read the weight of `qkv`
    weight_is_read = getattr(parent, "q_bias", None) is not None
    return type(layer) is nn.Linear and not layer.weight.requires_grad and not weight_is_read


def _choose_engine() -> None:
    """Choose torch's library for int8.

    Raises:
        UserError: This torch has none.
    """
    there = torch.backends.quantized.supported_engines
    best = next((engine for engine in ENGINES if engine in there), None)
    if best is None:
        raise UserError("this PyTorch has no int8 kernels for this CPU. Leave int8 out.")
    torch.backends.quantized.engine = best
