"""The optimizer gets each trainable parameter once and no frozen parameters."""

from rein.engine.optim import PEFTOptimWrapperConstructor


def test_only_trainable_parameters_are_optimized_each_once(tiny_model):
    make = PEFTOptimWrapperConstructor(
        dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.05)),
        dict(custom_keys={"query_embed": dict(decay_mult=0.0)}, norm_decay_mult=0.0))
    groups = make(tiny_model).optimizer.param_groups
    optimized = [id(parameter) for group in groups for parameter in group["params"]]
    trainable = {id(p): name for name, p in tiny_model.named_parameters() if p.requires_grad}
    assert sorted(optimized) == sorted(trainable)
    for group in groups:
        (name,) = (trainable[id(parameter)] for parameter in group["params"])
        assert group["weight_decay"] == (0 if "query_embed" in name or "norm" in name
                                         or ".gn." in name else 0.05), name
