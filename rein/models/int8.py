"""Frozen linear layers in int8 for prediction on a CPU.

Weights get a scale for each output channel, inputs one for each token, as in LLM.int8()
(Dettmers et al., arXiv:2208.07339), section 3: DINOv2 has tokens of many times the others' norm
(Darcet et al., arXiv:2309.16588), and one scale for all would leave the others few levels.
"""

import torch
from torch import Tensor, nn

from rein.errors import UserError

LEVELS = 127
"""Largest magnitude of an int8; -128 has no counterpart."""

_HOOKS = ("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks",
          "_forward_hooks_with_kwargs", "_forward_hooks_always_called")


class Int8Linear(nn.Module):
    """A linear layer with products in int8, for prediction; fast where a CPU has VNNI or AMX.

    torch's own dynamic quantization is deprecated and has one scale for all tokens; torchao, its
    successor, counts on torch.compile, which needs a C++ compiler. The product itself is torch's.

    Args:
        linear (nn.Linear): The layer, float32; its weights are not kept, its hooks are: adapters
            reach the network by them.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        scales = _scales(weight)
        self.register_buffer("weight", (weight / scales).round().to(torch.int8))
        self.register_buffer("weight_scales", scales.flatten())
        self.register_buffer("bias", (
            torch.zeros_like(self.weight_scales) if linear.bias is None
            else linear.bias.detach().clone()))
        for name in _HOOKS:
            getattr(self, name).update(getattr(linear, name))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in_features) to (..., out_features), float32."""
        x = x.float()
        scales = _scales(x)
        rounded = x.div(scales).round_().to(torch.int8)
        sums = torch._int_mm(rounded.flatten(0, -2), self.weight.t())
        out = sums.view(*x.shape[:-1], -1) * self.weight_scales
        return torch.addcmul(self.bias, out, scales, out=out)


def _scales(x: Tensor) -> Tensor:
    """Return what the rows of x (..., n) are divided by to be int8, (..., 1)."""
    # on a CPU a quarter of the time of the norm that it is
    largest = torch.maximum(x.amax(-1, keepdim=True), -x.amin(-1, keepdim=True))
    return largest.div_(LEVELS).clamp_(min=torch.finfo(x.dtype).tiny)  # rows may be zero


def quantize_frozen(model: nn.Module) -> nn.Module:
    """Turn the frozen linear layers of a segmentor's backbone into int8, in place.

    Load its weights first: afterwards they take a quarter of the memory, and its state dict is no
    checkpoint. Adapter and head stay as they are.

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
