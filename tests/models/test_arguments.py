import pytest
from conftest import build
from tiny_backbone import ADAPTER, SMALL

from rein.errors import UserError
from rein.models.arguments import known_arguments, refuse_unknown


@pytest.mark.parametrize("typo, near", [
    (dict(with_cpp=True), "with_cp"), (dict(embed_dims=32), "embed_dim"),
    (dict(reins_config=dict(ADAPTER, token_lenght=6)), "token_length"),
    (dict(reins_config=dict(ADAPTER, lora_dims=2)), "lora_dim"),
])
def test_an_unknown_argument_is_refused_and_the_nearest_one_named(typo, near):
    with pytest.raises(UserError, match=rf"Did you mean '{near}'"):
        build(dict(dict(type="ReinsDinoVisionTransformer", reins_config=ADAPTER, **SMALL), **typo))


class Base:
    def __init__(self, depth, *, width=1):
        pass


class Open(Base):
    def __init__(self, height, **kwargs):
        pass


class Closed(Base):
    def __init__(self, height):
        pass


def test_arguments_of_base_classes_count_where_kwargs_reach_them():
    assert known_arguments(Open) == {"height", "depth", "width"}
    assert known_arguments(Open, last=Open) == {"height"}
    assert known_arguments(Closed) == {"height"}


def test_without_a_near_argument_all_known_ones_are_listed():
    refuse_unknown("Open", ["depth"], {"depth", "width"})
    with pytest.raises(UserError, match="Open has no argument 'x'. Known: depth, width."):
        refuse_unknown("Open", ["depth", "x"], {"depth", "width"})
