"""ACDC (Sakaridis et al., ICCV 2021): night, fog, rain and snow, 1920x1080; labels hold trainIds.

Each condition is a domain. The test images have no labels; their predictions are scored by the
benchmark server.
"""

from rein.datasets.descriptions.description import DatasetDescription, EvalSetting, Part

CONDITIONS = ("night", "fog", "rain", "snow")


def _val(condition: str, count: int) -> Part:
    return Part(
        f"val_acdc_{condition}", f"rgb_anon/{condition}/val", f"gt/{condition}/val", count,
        domain=f"acdc_{condition}")


def _test(condition: str) -> Part:
    return Part(
        f"test_acdc_{condition}", f"rgb_anon/{condition}/test", count=500,
        domain=f"acdc_{condition}")


ACDC = DatasetDescription(
    name="acdc",
    domain="acdc",
    title="ACDC",
    url="https://acdc.vision.ee.ethz.ch",
    image_suffix="_rgb_anon.png",
    label_suffix="_gt_labelTrainIds.png",
    parts=(
        _val("night", 106), _val("fog", 100), _val("rain", 100), _val("snow", 100),
        *map(_test, CONDITIONS),
    ),
    protocols={"full": EvalSetting((1920, 1080))},
    conditions={f"acdc_{condition}": f"ACDC {condition}" for condition in CONDITIONS},
    submission={f"acdc_{condition}": f"rgb_anon/{condition}/test" for condition in CONDITIONS},
)
