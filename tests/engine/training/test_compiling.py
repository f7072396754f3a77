"""A missing compiler is reported before anything is compiled."""

import pytest
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler

from rein.engine.training.compiling import compile_model
from rein.errors import UserError


def test_a_missing_compiler_is_named(tiny_model, monkeypatch):
    def missing():
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing)
    with pytest.raises(UserError, match="compile=True needs a C.. compiler"):
        compile_model(tiny_model)
    compile_model(tiny_model, backend="eager")  # needs no compiler
