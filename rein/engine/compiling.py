"""`torch.compile` for the parts of a segmentor that are worth it."""

import torch
from torch import nn

from rein.errors import UserError


def compile_model(model: nn.Module, **options) -> None:
    """Compile a segmentor's backbone, and on a GPU its Mask2Former decoder, in place.

    The rest is left alone: matching on the host, random points, windows and metrics. Names of
    weights stay as they are. Another image size compiles once more, then sizes are left open.

    Args:
        model: A segmentor, or a wrapper for test-time augmentation around one.
        **options: As for `torch.compile`.

    Raises:
        UserError: The compiler that torch's default backend calls is missing.
    """
    model = getattr(model, "module", model)
    on_cpu = next(model.parameters()).device.type == "cpu"
    if options.get("backend", "inductor") == "inductor":
        _require_compiler(on_cpu)
    model.backbone.compile(**options)
    # on a CPU deformable attention has a way of its own, which torch.compile cannot follow
    if not on_cpu and hasattr(model.decode_head, "decode"):
        model.decode_head.decode = torch.compile(model.decode_head.decode, **options)


def _require_compiler(on_cpu: bool) -> None:
    if on_cpu:
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler
        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            raise UserError("compile=True needs a C++ compiler such as g++ on a CPU. Install one, "
                            "or leave it out.") from None
    elif not torch.utils._triton.has_triton():
        raise UserError("compile=True needs Triton on a GPU: `pip install triton`. Or leave it "
                        "out.")
