
import pytest
from torch import nn

from rein.errors import UserError
from rein.models.adapters import Adapter


class Scale(Adapter):
    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor


def test_an_adapter_has_no_queries_and_folds_nothing_by_default():
    assert Adapter().queries() is None and Adapter().fold() == {}
    assert Adapter().on_pretrained() is None
    with pytest.raises(UserError, match="Adapter has no method `attach`.*Define it"):
        Adapter().attach(nn.Identity(), [], 1)


def test_an_unknown_argument_is_refused_by_the_subclass_name():
    assert Scale(factor=3.0).factor == 3.0
    with pytest.raises(UserError, match="Scale has no argument 'facter'. Did you mean 'factor'"):
        Scale(facter=3.0)
