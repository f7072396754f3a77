"""Wrappers: ours has the wrapped dataset's attributes; mmengine's are walked through."""

import pickle
from types import SimpleNamespace

import pytest

from rein.datasets.wrappers import DatasetAround, datasets_inside


class Letters(list):
    """A dataset with an attribute."""

    metainfo = dict(classes=("a",))


def test_a_wrapper_has_the_datasets_length_and_attributes_also_in_a_worker():
    wrapper = pickle.loads(pickle.dumps(DatasetAround(Letters("abc"))))
    assert len(wrapper) == 3 and wrapper.metainfo == dict(classes=("a",))
    with pytest.raises(AttributeError):
        wrapper.nothing  # noqa: B018


def test_datasets_are_found_however_deep_and_others_are_passed_over():
    first, second = SimpleNamespace(pipeline=1), SimpleNamespace(pipeline=2)
    deep = SimpleNamespace(datasets=[SimpleNamespace(dataset=first), DatasetAround(second)])
    assert list(datasets_inside(deep)) == [first, second]
    assert list(datasets_inside(Letters("abc"))) == []
