"""Faster training transforms draw the same random numbers as mmseg and give the same bits."""

import cv2
import numpy as np
import pytest
import torch
from label_files import write_pairs
from mmcv.transforms import RandomChoiceResize
from mmengine.registry import DefaultScope
from mmseg.datasets.transforms import PhotoMetricDistortion, RandomCrop
from mmseg.registry import DATASETS

import rein  # noqa: F401  fills the registries
from rein.datasets.building import build_dataset
from rein.datasets.fast_mmseg_transforms import _resized, faster
from rein.engine.training.seeding import seed_everything

META = ["img_path", "ori_shape", "img_shape", "scale", "scale_idx", "scale_factor", "keep_ratio",
        "flip", "flip_direction", "swap_seg_labels"]
SIZES = [(40, 60), (64, 64), (97, 131), (131, 77), (240, 64), (150, 300)]  # no crop in the first


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Images of several sizes, one grey, with classes that exceed the maximum share of a crop."""
    root = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(0)
    pairs = []
    for i, (height, width) in enumerate(SIZES):
        image = rng.integers(0, 256, (height, width) if i == 2 else (height, width, 3), np.uint8)
        label = np.kron(rng.choice([3, 3, 3, 7, 255], (4, 4)), np.ones((75, 75)))[:height, :width]
        pairs.append((image, label))
    write_pairs(root, pairs)
    return root


def datasets(root, flip):
    """The same samples loaded by stock mmseg and by this project."""
    pipeline = [
        dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"),
        dict(type="RandomChoiceResize", scales=[48, 64, 96, 128], max_size=256,
             resize_type="ResizeShortestEdge"),
        dict(type="RandomCrop", crop_size=(64, 64), cat_max_ratio=0.75), flip,
        dict(type="PhotoMetricDistortion"), dict(type="PackSegInputs", meta_keys=META)]
    cfg = dict(data_root=str(root), img_suffix=".png", seg_map_suffix=".png", pipeline=pipeline,
               serialize_data=False,
               data_prefix=dict(img_path="images", seg_map_path="labels"))
    with DefaultScope.overwrite_default_scope("mmseg"):
        stock = DATASETS.build(dict(cfg, type="CityscapesDataset"))
        return stock, build_dataset(dict(cfg, type="UrbanSceneDataset", domain="gta"))


def same_samples(stock, ours, seeds=range(6)):
    """Compare the whole samples and the final state of the random generators."""
    for seed in seeds:
        for index in range(len(stock)):
            found = []
            for dataset in (stock, ours):
                seed_everything(seed, index)
                found.append((dataset[index], np.random.randint(2 ** 30)))
            (expected, after), (sample, ours_after) = found
            assert ours_after == after
            assert torch.equal(sample["inputs"], expected["inputs"]), (seed, index)
            label, wanted = (one["data_samples"].gt_sem_seg.data for one in (sample, expected))
            assert torch.equal(label, wanted), (seed, index)
            meta = expected["data_samples"].metainfo | dict(domain="gta")
            assert sample["data_samples"].metainfo == meta


@pytest.mark.parametrize("flip", [
    dict(type="RandomFlip", prob=0.5),
    dict(type="RandomFlip", prob=[0.3, 0.3, 0.3], direction=["horizontal", "vertical", "diagonal"],
         swap_seg_labels=[(3, 7)])])
def test_samples_equal_mmsegs_bit_for_bit_with_the_same_seed(root, flip):
    stock, ours = datasets(root, flip)
    steps = [type(getattr(step, "resize", step)).__name__ for step in ours.pipeline.transforms]
    assert steps[2:6] == [
        "ResizedCrop", "CopyingFlip", "TablePhotoMetricDistortion", "PlanarPackSegInputs"]
    same_samples(stock, ours)


def test_a_label_of_another_size_is_resized_as_in_mmseg():
    """Loading refuses such a pair; a user's own loading step may not."""
    with DefaultScope.overwrite_default_scope("mmseg"):  # ResizeShortestEdge is mmseg's
        resize = RandomChoiceResize(scales=[48, 96], resize_type="ResizeShortestEdge", max_size=256)
    steps = [resize, RandomCrop((64, 64), cat_max_ratio=0.75)]
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (80, 120, 3), np.uint8)
    label = np.kron(rng.integers(0, 19, (6, 4)), np.ones((20, 20))).astype(np.uint8)
    found = []
    for transforms in (steps, faster(steps)):
        np.random.seed(0)
        results = dict(img=image, gt_seg_map=label, seg_fields=["gt_seg_map"])
        for transform in transforms:
            results = transform(results)
        found.append(results)
    for key in ("img", "gt_seg_map"):
        assert np.array_equal(found[0][key], found[1][key])


def test_resizing_only_the_crop_equals_resizing_the_whole_image():
    rng = np.random.default_rng(0)
    for _ in range(400):
        size, new_size, crop = rng.integers(1, 120, 2), rng.integers(1, 160, 2), rng.integers(1, 99)
        if rng.random() < 0.2:
            size = 2 * new_size  # OpenCV uses another code path
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        height, width = new_size.tolist()
        top, left = (int(rng.integers(0, max(length - crop, 0) + 1)) for length in new_size)
        whole = cv2.resize(image, (width, height))
        found = _resized(image, height, width, (top, top + crop, left, left + crop))
        assert np.array_equal(found, whole[top:top + crop, left:left + crop]), (size, new_size)


def test_every_level_of_every_channel_is_distorted_as_in_mmseg():
    levels = np.arange(256, dtype=np.uint8)
    image = np.stack([np.tile(levels, (64, 1)), np.repeat(levels[::4, None], 256, 1),
                      np.random.default_rng(0).integers(0, 256, (64, 256), np.uint8)], -1)
    stock = PhotoMetricDistortion(40, (0.3, 1.9), (0.2, 2.0), 30)
    (ours,) = faster([stock])
    for seed in range(60):
        found = []
        for transform in (stock, ours):
            np.random.seed(seed)
            found.append(transform(dict(img=image.copy()))["img"])
        assert np.array_equal(*found), seed


@pytest.mark.parametrize("largest, varied", [(74, True), (75, False), (76, False)])
def test_a_class_must_stay_below_the_maximum_share_of_a_crop(largest, varied):
    label = np.full((20, 10), 255, np.uint8)
    label[:10] = np.r_[np.full(largest, 2), np.full(100 - largest, 5)].reshape(10, 10)
    (crop,) = faster([RandomCrop((20, 10), cat_max_ratio=0.75)])
    assert crop._is_varied(label) == varied
    assert not crop._is_varied(np.full((8, 8), 2, np.uint8))
    assert not crop._is_varied(np.full((8, 8), 255, np.uint8))


def test_other_transforms_and_subclasses_are_left_alone():
    class Own(RandomCrop):
        """A user's subclass, which may draw other numbers."""

    own = Own((8, 8))
    assert faster([own]) == [own]
