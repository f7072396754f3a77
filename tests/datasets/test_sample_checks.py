"""Errors of unusable samples name the file and the fix in one line."""

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from scenes import AUGMENTED_PIPELINE, cityscapes_cfg, scenes, write, write_pair
from torch.utils.data import DataLoader

from rein.datasets.domain_stamps import stamp_domains
from rein.datasets.sample_checks import CorruptFile, SampleError
from rein.errors import UserError


@pytest.fixture(autouse=True)
def mmseg_scope():
    init_default_scope("mmseg")


@pytest.mark.parametrize("content", [b"", b"no picture", None])
@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("folder", ["images", "labels"])
def test_file_that_does_not_decode_is_named(tmp_path, content, ours, folder):
    write_pair(tmp_path, "broken", size=(64, 64))
    path = tmp_path / folder / "broken.png"
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    data = scenes(tmp_path) if ours else DATASETS.build(cityscapes_cfg(tmp_path))
    stamp_domains(data)
    with pytest.raises(SampleError, match=rf"{folder}/broken\.png: the .* does not decode"):
        data[0]


def test_label_inside_test_time_augmentation_is_also_checked(tmp_path):
    write_pair(tmp_path, "broken")
    path = tmp_path / "labels/broken.png"
    path.write_bytes(path.read_bytes()[:-30])
    data = scenes(tmp_path, pipeline=AUGMENTED_PIPELINE)
    with pytest.raises(SampleError, match=r"labels/broken\.png: the label does not decode"):
        data[0]


def test_image_too_thin_to_be_resized_is_named(tmp_path):
    write_pair(tmp_path, "thin", size=(1, 2000))
    with pytest.raises(CorruptFile, match=r"images/thin\.png: the image is 2000x1") as error:
        scenes(tmp_path)[0]
    assert error.value.domain == "citys" and error.value.path.endswith("thin.png")


@pytest.mark.parametrize("ours", [True, False])
def test_label_values_that_are_not_train_ids_are_named(tmp_path, ours):
    write_pair(tmp_path / "cityscapes", "a")
    label = np.zeros((16, 32))
    label[0, :3] = 33, 26, 255
    write(tmp_path / "cityscapes/labels/a.png", label)
    root = tmp_path / "cityscapes"
    data = scenes(root) if ours else DATASETS.build(cityscapes_cfg(root))
    stamp_domains(data)
    with pytest.raises(SampleError, match=r"a\.png: label values 26, 33, but 0-18.*cityscapes\.py"):
        data[0]


def test_colour_labels_are_rejected(tmp_path):
    write_pair(tmp_path, "a")
    write(tmp_path / "labels/a.png", np.zeros((16, 32, 3)))
    with pytest.raises(SampleError, match="3 colour channels"):
        scenes(tmp_path)[0]


def test_errors_in_loader_workers_stay_on_one_line(tmp_path):
    write_pair(tmp_path, "a", label=77)
    loader = DataLoader(scenes(tmp_path), num_workers=1, collate_fn=pseudo_collate)
    batches = iter(loader)
    with pytest.raises(UserError) as error:
        next(batches)
    batches._shutdown_workers()  # leaving it to the garbage collector takes 5 s
    assert str(error.value).startswith(str(tmp_path)) and "\n" not in str(error.value)
