"""Apply `torch.compile` to the parts of a segmentor that benefit."""

import torch
from torch import nn

from rein.errors import UserError


def compile_model(model: nn.Module, **options) -> None:
    """Compile a segmentor's backbone and, on a GPU, its Mask2Former decoder, in place.

    Everything else stays uncompiled: matching on the host, random points, sliding windows and
    metrics. Weight names are unchanged. A second image size triggers one more compilation, with
    dynamic sizes.

    Args:
        model: A segmentor, or a wrapper for test-time augmentation around one.
        **options: Options of `torch.compile`.

    Raises:
        UserError: The compiler used by torch's default backend is missing.
    """
    model = getattr(model, "module", model)
    on_cpu = next(model.parameters()).device.type == "cpu"
    if options.get("backend", "inductor") == "inductor":
        _require_compiler(on_cpu)
    model.backbone.compile(**options)
    # on a CPU, torch.compile cannot trace our implementation of deformable attention
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
                            "or remove compile=True.") from None
    elif not torch.utils._triton.has_triton():
        raise UserError("compile=True needs Triton on a GPU. Run `pip install triton`, or remove "
                        "compile=True.")
