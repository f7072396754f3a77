"""Our wrapper exposes the wrapped dataset; datasets inside any wrapper are found."""

import pickle
from types import SimpleNamespace

import pytest

from rein.datasets.wrappers import DatasetAround, datasets_inside


class Letters(list):
    """A dataset with an attribute."""

    metainfo = dict(classes=("a",))


def test_a_wrapper_has_the_datasets_length_and_attributes_even_after_pickling():
    wrapper = pickle.loads(pickle.dumps(DatasetAround(Letters("abc"))))
    assert len(wrapper) == 3 and wrapper.metainfo == dict(classes=("a",))
    with pytest.raises(AttributeError):
        wrapper.nothing  # noqa: B018


def test_datasets_are_found_at_any_depth_and_other_objects_are_skipped():
    first, second = SimpleNamespace(pipeline=1), SimpleNamespace(pipeline=2)
    deep = SimpleNamespace(datasets=[SimpleNamespace(dataset=first), DatasetAround(second)])
    assert list(datasets_inside(deep)) == [first, second]
    assert list(datasets_inside(Letters("abc"))) == []
