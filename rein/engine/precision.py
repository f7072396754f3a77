"""Choose the device of predictions, and their number format by the device."""

from collections.abc import Mapping

import torch
from torch import nn

from rein.errors import UserError, one_line

PRECISIONS = ("auto", "fp32", "bf16", "fp16")


def find_device(given: str | torch.device | None = None) -> torch.device:
    """Return a device; default: the GPU if there is one.

    Raises:
        UserError: There is no such device here.
    """
    device = given or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise UserError(f"device {given}: not available ({one_line(error, 120)}). Choose another "
                        "device, or leave it out.") from error


def choose_precision(given: str, device: torch.device, int8: bool = False) -> str:
    """Return the precision of a model's predictions: "fp32", "bf16", "fp16" or "int8".

    Args:
        given: One of `PRECISIONS`; "auto" takes bf16 where the device computes in it, else fp32.
        device: Device of the model.
        int8: The frozen layers are in int8; the others compute in fp32.

    Raises:
        UserError: The precision is unknown, or not for this device or for int8.
    """
    if given not in PRECISIONS:
        raise UserError(f"precision={given!r}: expected one of {', '.join(PRECISIONS)}.")
    if int8:
        if given in ("bf16", "fp16"):
            raise UserError(f"precision={given!r} does not go with int8, which computes all other "
                            "layers in fp32. Omit one of them.")
        return "int8"
    if given == "fp16" and device.type != "cuda":
        raise UserError(f"precision='fp16' is for CUDA devices, but the model is on {device}. Use "
                        "'auto', 'fp32' or 'bf16'.")
    if given == "auto":
        return "bf16" if computes_in_bf16(device) else "fp32"
    return given


def computes_in_bf16(device: torch.device) -> bool:
    """Tell whether a device has instructions for bfloat16, which make it the faster choice."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and any(
        cpu_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))


def cpu_capabilities() -> Mapping[str, bool]:
    """Return the processor's instruction sets; empty with a torch that does not list them."""
    find = getattr(torch.cpu, "get_capabilities", None)
    return find() if find else {}


def set_precision(model: nn.Module, precision: str) -> None:
    """Let a segmentor predict in a precision from `choose_precision`.

    In bf16, the matrices of a frozen backbone are converted once, which halves their memory;
    autocast would convert them for every batch.
    """
    model.precision = "fp32" if precision == "int8" else precision
    backbone = model.backbone
    if precision == "bf16" and getattr(backbone, "frozen", False):
        backbone.frozen_dtype = torch.bfloat16
        backbone.apply_frozen_dtype()
