"""Labels are loaded as they are on disk: no value wraps or stretches, no side is dropped."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import DATASETS
from PIL import Image
from scenes import cityscapes_cfg, scenes, write, write_pair

from rein.datasets.domain_stamps import stamp_domains
from rein.datasets.exact_labels import LoadExactLabels
from rein.datasets.sample_checks import SampleError

LOAD_ONLY = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")]


@pytest.fixture(autouse=True)
def mmseg_scope():
    init_default_scope("mmseg")


@pytest.mark.parametrize("ours", [True, False])
def test_16_bit_values_never_wrap(tmp_path, ours):
    write_pair(tmp_path, "a")
    label = np.zeros((16, 32), np.uint16)
    label[0, :2] = 256, 65535
    Image.fromarray(label).save(tmp_path / "labels/a.png")
    data = scenes(tmp_path) if ours else DATASETS.build(cityscapes_cfg(tmp_path))
    stamp_domains(data)
    with pytest.raises(SampleError, match=r"labels/a\.png: label values 256, 65535, but at most"):
        data[0]


def test_16_bit_values_that_fit_are_kept(tmp_path):
    write_pair(tmp_path, "a")
    Image.fromarray(np.full((16, 32), 18, np.uint16)).save(tmp_path / "labels/a.png")
    assert scenes(tmp_path)[0]["data_samples"].gt_sem_seg.data.unique().tolist() == [18]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)])
def test_sides_of_one_pixel_are_kept(tmp_path, size):
    write_pair(tmp_path, "a", label=7, size=size)
    label = scenes(tmp_path, pipeline=LOAD_ONLY)[0]["gt_seg_map"]
    assert np.array_equal(label, np.full(size, 7))


@pytest.mark.parametrize("pixels, message", [
    (np.zeros((16, 32, 3), np.uint8), "3 colour channels"),
    (np.zeros((16, 32), np.float32), "values of type float32"),
    (np.full((16, 32), -1, np.int32), "label values -1, but"),
])
def test_what_is_no_map_of_classes_is_named(tmp_path, pixels, message):
    write_pair(tmp_path, "a", suffixes=(".png", ".tif"))
    Image.fromarray(pixels).save(tmp_path / "labels/a.tif")
    with pytest.raises(SampleError, match=rf"a\.tif: .*{message}"):
        scenes(tmp_path, seg_map_suffix=".tif")[0]


def test_a_grey_png_of_few_bits_is_refused_since_decoders_stretch_it(tmp_path):
    """The values 0 and 1 of 4 bits decode as 0 and 17, a motorcycle."""
    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    write_pair(tmp_path, "a", size=(1, 2))
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", 2, 1, 4, 0, 0, 0, 0)) + \
        chunk(b"IDAT", zlib.compress(b"\0\1")) + chunk(b"IEND", b"")
    assert np.asarray(Image.open(io.BytesIO(content))).tolist() == [[0, 17]]
    (tmp_path / "labels/a.png").write_bytes(content)
    with pytest.raises(SampleError, match="grey PNG of 4 bits"):
        scenes(tmp_path, pipeline=LOAD_ONLY)[0]


@pytest.mark.parametrize("reduce_zero_label", [False, True])
@pytest.mark.parametrize("label_map", [None, {3: 0, 4: 255, 5: 3}])
@pytest.mark.parametrize("backend", ["pillow", "cv2"])
def test_8_bit_labels_load_as_in_mmseg(tmp_path, reduce_zero_label, label_map, backend):
    write(tmp_path / "a.png", np.arange(256).reshape(8, 32))
    found = []
    for kind in (LoadAnnotations, LoadExactLabels):
        results = dict(seg_map_path=str(tmp_path / "a.png"), seg_fields=[], label_map=label_map,
                       reduce_zero_label=reduce_zero_label)
        results = kind(imdecode_backend=backend)(results)
        assert results["seg_fields"] == ["gt_seg_map"]
        found.append(results["gt_seg_map"])
    assert found[1].dtype == found[0].dtype and np.array_equal(*found)


def test_a_mask_of_one_bit_holds_0_and_1(tmp_path):
    write_pair(tmp_path, "a")
    mask = np.zeros((16, 32), bool)
    mask[:4] = True
    Image.fromarray(mask).save(tmp_path / "labels/a.png")
    assert cv2.imread(str(tmp_path / "labels/a.png"), cv2.IMREAD_UNCHANGED).max() == 255
    assert scenes(tmp_path)[0]["data_samples"].gt_sem_seg.data.unique().tolist() == [0, 1]
