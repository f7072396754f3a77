"""Cityscapes labels, and lookup tables to trainIds."""

import numpy as np

from rein.datasets.label_maps import (
    CITYSCAPES_ID_TO_TRAIN_ID,
    CITYSCAPES_LABELS,
    CLASSES,
    PALETTE,
    lookup_table,
)


def test_classes_are_indexed_by_train_id():
    assert len(CLASSES) == len(PALETTE) == 19
    assert (CLASSES[0], CLASSES[13], CLASSES[18]) == ("road", "car", "bicycle")
    for label in CITYSCAPES_LABELS:
        assert label.train_id == 255 or CLASSES[label.train_id] == label.name


def test_a_lookup_table_ignores_missing_ids():
    table = lookup_table({7: 0, 33: 18})
    assert table.dtype == np.uint8 and table[[7, 33, 0, 255]].tolist() == [0, 18, 255, 255]
    assert sorted(CITYSCAPES_ID_TO_TRAIN_ID.values()) == list(range(19))
