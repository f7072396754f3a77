"""Frozen linear layers in int8 for prediction on a CPU.

Weights have one scale per output channel, inputs one per token, as in LLM.int8() (Dettmers et al.,
arXiv:2208.07339), section 3: some of DINOv2's tokens have many times the norm of the others (Darcet
et al., arXiv:2309.16588), and a shared scale would leave the others few levels.
"""

import torch
from torch import Tensor, nn

from rein.errors import UserError

LEVELS = 127
"""Largest magnitude of an int8; -128 has no counterpart."""

_HOOKS = ("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks",
          "_forward_hooks_with_kwargs", "_forward_hooks_always_called")


class Int8Linear(nn.Module):
    """A linear layer that multiplies in int8, for prediction; fast on CPUs with VNNI or AMX.

    torch's own dynamic quantization is deprecated and has one scale for all tokens; torchao, its
    successor, relies on torch.compile, which needs a C++ compiler. The product itself uses torch.

    Args:
        linear (nn.Linear): The layer, in float32 or bfloat16. Its weights are dropped; its hooks
            are kept, because adapters work through hooks.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scales = _scales(weight)
        self.register_buffer("weight", (weight / scales).round().to(torch.int8))
        self.register_buffer("weight_scales", scales.flatten())
        self.register_buffer("bias", (
            torch.zeros_like(self.weight_scales) if linear.bias is None
            else linear.bias.detach().float().clone()))
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
    """Return the int8 scale of each row of x (..., n): (..., 1)."""
    # equals the maximum norm, in a quarter of its time on a CPU
    largest = torch.maximum(x.amax(-1, keepdim=True), -x.amin(-1, keepdim=True))
    return largest.div_(LEVELS).clamp_(min=torch.finfo(x.dtype).tiny)  # rows may be zero


def quantize_frozen(model: nn.Module) -> nn.Module:
    """Convert the frozen linear layers of a segmentor's backbone to int8, in place.

    Load the weights first: afterwards the layers take a quarter of the memory, and the state dict
    is no longer a checkpoint. Adapter and head are unchanged.

    Args:
        model: A segmentor on the CPU.

    Returns:
        The model.

    Raises:
        UserError: The model is not on the CPU, its backbone has no frozen linear layer, or its
            adapter needs the float layers.
    """
    device = next(model.parameters()).device
    if device.type != "cpu":
        raise UserError(f"int8 is for CPUs, but the model is on {device}. Omit it, or hide "
                        "the GPU with `CUDA_VISIBLE_DEVICES=` before the command.")
    replaced = [name for name, layer in model.backbone.named_modules() if "forward" in vars(layer)]
    if replaced:
        raise UserError(f"int8 replaces frozen layers, but {replaced[0]} is computed by an "
                        "adapter (type='Peft'). Omit int8, or fold the adapter into the backbone "
                        "first: tools/generate_full_weights.py --fold.")
    found = [(parent, name, layer) for parent in model.backbone.modules()
             for name, layer in parent.named_children() if _can_be_int8(parent, layer)]
    if not found:
        raise UserError("int8 is for frozen backbones, but this model's backbone has no frozen "
                        "linear layer: all of it was trained. Omit it.")
    for parent, name, layer in found:
        setattr(parent, name, Int8Linear(layer))
    return model


def _can_be_int8(parent: nn.Module, layer: nn.Module) -> bool:
    """Tell whether a layer is frozen, linear, and called rather than read for its weight."""
    # timm's EVA and BEiT join their biases and read the weight of `qkv`
    weight_is_read = getattr(parent, "q_bias", None) is not None
    return type(layer) is nn.Linear and not layer.weight.requires_grad and not weight_is_read
