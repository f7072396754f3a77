"""Matrix products of an ONNX graph in half precision or int8."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from rein.errors import UserError

PRODUCTS = ("MatMul", "Gemm", "Conv", "ConvTranspose")
"""Operators that compute in half precision, like those of torch's autocast."""

_SCOPES = "pkg.torch.onnx.name_scopes"  # torch's metadata of each node: its modules
_FROZEN = "segmentor.backbone.model."


def halve_products(graph: ir.Graph) -> None:
    """Let products and convolutions compute in float16, in place; all else stays in float32.

    Their weights become float16, which halves the file. Norms, softmax and the sampling places of
    deformable attention keep their precision, as under torch's autocast.
    """
    halves: dict[ir.Value, ir.Value] = {}
    for node in list(graph):
        if node.op_type not in PRODUCTS or node.outputs[0].is_graph_output():
            continue
        for index, value in enumerate(node.inputs):
            if value is not None:
                if value not in halves:
                    halves[value] = _half(value, graph)
                node.replace_input_with(index, halves[value])
        out = node.outputs[0]
        out.dtype = ir.DataType.FLOAT16
        cast = _cast(out, ir.DataType.FLOAT)
        ir.convenience.replace_all_uses_with(out, cast.outputs[0])
        cast.replace_input_with(0, out)
        graph.insert_after(node, cast)
    for name, value in list(graph.initializers.items()):
        if not value.uses():
            del graph.initializers[name]


def _half(value: ir.Value, graph: ir.Graph) -> ir.Value:
    """Return a value in float16: a converted weight, or the result of a cast."""
    if value.is_initializer():
        name = f"{value.name}_half"
        half = ir.tensor(value.const_value.numpy().astype(np.float16), name=name)
        found = ir.Value(name=name, const_value=half, shape=half.shape, type=ir.TensorType(
            ir.DataType.FLOAT16))
        graph.register_initializer(found)
        return found
    cast = _cast(value, ir.DataType.FLOAT16)
    if value.producer() is None:  # the graph's input
        graph.insert_before(graph[0], cast)
    else:
        graph.insert_after(value.producer(), cast)
    return cast.outputs[0]


def _cast(value: ir.Value, dtype: ir.DataType) -> ir.Node:
    """Return a node that casts a value."""
    return _node("Cast", [value], [ir.AttrInt64("to", dtype.value)], dtype=dtype,
                 name=f"{value.name}_{dtype.name.lower()}")


def split_gemms(graph: ir.Graph) -> None:
    """Replace each `Gemm` by a product with the transposed weight and a sum, in place.

    ONNX Runtime's quantization does so as well, but transposes the stored weight once for each node
    that uses it: shared weights, such as those of Rein's MLPs, would be wrong.
    """
    transposed: dict[ir.Value, ir.Value] = {}
    for node in list(graph):
        if node.op_type != "Gemm":
            continue
        facts = {name: attribute.value for name, attribute in node.attributes.items()}
        if facts.get("transA") or (facts.get("alpha", 1), facts.get("beta", 1)) != (1, 1):
            raise UserError("the graph scales or transposes the input of a product (Gemm), which "
                            "int8 does not know. Omit --int8.")
        first, weight, *bias = node.inputs
        if facts.get("transB"):
            if weight not in transposed:
                turned = _node("Transpose", [weight], [ir.AttrInt64s("perm", [1, 0])])
                graph.insert_before(node, turned)
                transposed[weight] = turned.outputs[0]
            weight = transposed[weight]
        steps = [_node("MatMul", [first, weight], name=node.outputs[0].name)]
        if bias and bias[0] is not None:
            steps.append(_node("Add", [steps[0].outputs[0], bias[0]], name=node.outputs[0].name))
        graph.insert_before(node, steps)
        ir.convenience.replace_all_uses_with(node.outputs[0], steps[-1].outputs[0])
        graph.remove(node)


def _node(
    kind: str, inputs: Sequence[ir.Value], attributes: Sequence[ir.Attr] = (),
    name: str | None = None, dtype: ir.DataType = ir.DataType.FLOAT,
) -> ir.Node:
    """Return a node with one output, both named after its kind and `name` or the first input."""
    name = f"{name or inputs[0].name}_{kind.lower()}"
    result = ir.Value(name=name, type=ir.TensorType(dtype))
    return ir.Node("", kind, inputs, attributes, outputs=[result], name=f"node_{name}")


def quantize_file(source: Path, target: Path, is_large: bool) -> None:
    """Write a file whose frozen backbone multiplies in int8, by ONNX Runtime's quantization.

    Weights have one scale per output channel; inputs get one scale on every run. Both are unsigned,
    since sums of signed products saturate on processors without VNNI. Adapter and head stay in
    float32, as with `rein.models.int8`.

    Args:
        source: The file in float32.
        target: The file to write.
        is_large: Whether weights need a file of their own.

    Raises:
        UserError: The backbone has no matrix products.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    names = [
        node.name for node in ir.load(source).graph if node.op_type == "MatMul"
        and node.inputs[1].is_initializer() and _FROZEN in node.metadata_props.get(_SCOPES, "")]
    if not names:  # ONNX Runtime would take all
        raise UserError("the frozen backbone has no matrix products, so int8 changes nothing. Omit "
                        "--int8.")
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # a note on each file, which no caller can follow
    try:
        quantize_dynamic(
            source, target, op_types_to_quantize=["MatMul"], per_channel=True,
            weight_type=QuantType.QUInt8, nodes_to_quantize=names,
            use_external_data_format=is_large)
    finally:
        logger.setLevel(level)
