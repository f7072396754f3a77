"""The steps of the predictor equal those of testing, and a wrong file is named."""

import numpy as np
import onnx
import pytest
import torch
from mmcv.transforms import Resize
from tiny_onnx import street

from rein.errors import UserError
from rein.export.onnx_predictor import classify, load_onnx, resized
from rein.models.segmentors.pixels import confident_argmax


@pytest.mark.parametrize("arguments", [
    dict(scale=(128, 64), keep_ratio=True), dict(scale=(64, 128), keep_ratio=True),
    dict(scale=(50, 31)), dict(scale_factor=0.5, keep_ratio=True), dict(scale_factor=1.37), {}])
@pytest.mark.parametrize("size", [(70, 101), (300, 41)])
def test_images_are_resized_as_in_testing(arguments, size):
    image = street(*size)
    expected = Resize(**arguments)(dict(img=image.copy()))["img"] if arguments else image
    assert np.array_equal(resized(image, arguments), expected)


@pytest.mark.parametrize("logits", [True, False])
@pytest.mark.parametrize("size, temperature", [((40, 60), 1.0), ((83, 131), 1.7), ((21, 30), 0.6)])
def test_classes_and_confidence_are_those_of_testing(logits, size, temperature):
    outputs = torch.randn(19, 40, 60, generator=torch.Generator().manual_seed(0))
    outputs = outputs if logits else outputs.abs()
    expected = confident_argmax(outputs, size, not logits, temperature)
    seg_map, confidence = classify(outputs.numpy(), size, logits, temperature)
    assert np.mean(seg_map == expected.seg_map.numpy()) > 0.9999
    np.testing.assert_allclose(confidence, expected.confidence.numpy(), atol=1e-4)


def test_a_file_of_another_kind_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("rein.paths.REPOSITORY", tmp_path)
    with pytest.raises(UserError, match="missing.onnx: no such file"):
        load_onnx(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(UserError, match="text.onnx: ONNX Runtime cannot load it. It may be"):
        load_onnx("text.onnx")  # in the repository
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])], "other",
        [value("x", onnx.TensorProto.FLOAT, [1])], [value("y", onnx.TensorProto.FLOAT, [1])])
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10),
              tmp_path / "other.onnx")
    with pytest.raises(UserError, match="other.onnx: carries no metadata of Rein"):
        load_onnx(tmp_path / "other.onnx")
