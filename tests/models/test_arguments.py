import pytest
from conftest import build
from tiny_adapters import backbone
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


@pytest.mark.parametrize("adapter, message", [
    (dict(type="Reins", token_length=0), "Reins: token_length=0; expected a whole number from 1"),
    (dict(type="LoRAReins", lora_dim=-1), "lora_dim=-1"),
    (dict(type="LoRAReins", scale_init="a"), "scale_init='a'; expected a number"),
    (dict(type="Reins", use_softmax="no"), "use_softmax='no'; expected True or False"),
    (dict(type="LoRA", rank=1.5), "rank=1.5"), (dict(type="DoRA", rank=True), "rank=True"),
    (dict(type="LoRA", alpha=0), "alpha=0; expected a number above 0"),
    (dict(type="LoRA", targets=3), "targets=3: expected names"),
    (dict(type="LoRA", targets="(q"), "is not a valid regular expression"),
    (dict(type="LoRA", blocks=[0]), r"blocks=\(0,\): the backbone has blocks 0 to 3"),
    (dict(type="VPT", num_tokens=0), "num_tokens=0"),
    (dict(type="VPT", dropout=2), "VPT: dropout=2; expected a number from 0 to below 1"),
    (dict(type="AdaptFormer", hidden_dims=0), "hidden_dims=0"),
    (dict(type="AdaptFormer", scale=float("nan")), "scale=nan"),
    (dict(type="EncoderOnlyQueries", num_queries=0), "num_queries=0"),
    (dict(type="Combined", adapters=[]), r"adapters=\[\]; expected a list of configs"),
    (dict(type="Combined", adapters=[dict(type="LoRA", rank=0)]), "LoRA: rank=0"),
    (dict(type="Peft"), "Peft needs the argument 'config'"),
    (dict(adapters=[]), "config has no type. Known: AdaptFormer, BitFit"),
    (dict(type="Lora"), "no adapter 'Lora'. Known: AdaptFormer, BitFit")])
def test_a_wrong_option_of_an_adapter_is_named_with_what_it_takes(adapter, message):
    with pytest.raises(UserError, match=message):
        backbone(adapter)


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
