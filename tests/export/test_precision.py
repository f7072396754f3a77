"""Graphs in int8 compute what the float graph computes, within the precision."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from rein.errors import UserError
from rein.export.precision import quantize_file, split_gemms

SCOPES = {"pkg.torch.onnx.name_scopes": "['', 'segmentor.backbone.model.blocks.0']"}


def shared_weight(count, frozen=True, **attributes):
    """Build a frozen product, then `count` products with one square weight, as of Rein's MLPs."""
    random = np.random.default_rng(0)
    stored = [numpy_helper.from_array(random.normal(size=size).astype(np.float32), name)
              for name, size in (("matrix", (4, 4)), ("weight", (4, 4)), ("bias", (4,)))]
    nodes = [helper.make_node("MatMul", ["image", "matrix"], ["x0"], "product"), *(
        helper.make_node("Gemm", [f"x{i}", "weight", "bias"], [f"x{i + 1}"], transB=1, **attributes)
        for i in range(count)), helper.make_node("Identity", [f"x{count}"], ["result"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, 4])
            for name in ("image", "result")]
    graph = helper.make_graph(nodes, "shared", ends[:1], ends[1:], stored)
    model = ir.from_proto(helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))
    if frozen:
        model.graph[0].metadata_props.update(SCOPES)
    return model


def outputs(path, image):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})[0]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_weight_of_several_products_is_not_transposed_for_each(tmp_path, count):
    model = shared_weight(count)
    image = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    ir.save(model, tmp_path / "float.onnx")
    expected = outputs(tmp_path / "float.onnx", image)
    split_gemms(model.graph)
    ir.save(model, tmp_path / "split.onnx")
    onnx.checker.check_model(tmp_path / "split.onnx")
    quantize_file(tmp_path / "split.onnx", tmp_path / "int8.onnx", is_large=False)
    for name, close in (("split", 1e-5), ("int8", 0.02)):
        found = outputs(tmp_path / f"{name}.onnx", image)
        assert np.abs(found - expected).max() < close * np.abs(expected).max()


def test_what_int8_cannot_do_is_refused(tmp_path):
    with pytest.raises(UserError, match="scales .* Omit --int8"):
        split_gemms(shared_weight(1, alpha=2.0).graph)
    ir.save(shared_weight(0, frozen=False), tmp_path / "float.onnx")
    with pytest.raises(UserError, match="has no matrix products"):
        quantize_file(tmp_path / "float.onnx", tmp_path / "int8.onnx", is_large=False)
