"""The table of docs/adapters.md counts right, and its examples build."""

import re

import pytest
import torch
from conftest import build
from doc_blocks import ROOT
from mmengine.config import Config

TEXT = (ROOT / "docs/adapters.md").read_text()
ROWS = re.findall(r"^\| `\w+` .*\| ([\d,]+) \| \w+ \| \[`\w+`\]\(\.\./(\S+)\) \|$", TEXT, re.M)
EXAMPLES = re.findall(r"^```python\n(reins_config=.*?)^```$", TEXT, re.M | re.S)


def trained(backbone):
    with torch.device("meta"):
        built = build(backbone)
    return sum(p.numel() for p in built.parameters() if p.requires_grad)


def test_the_table_counts_the_trained_parameters():
    assert len(ROWS) == 9
    for count, config in ROWS:
        if not re.search("dora|bitfit|norm|eomt", config):
            continue  # published numbers, tested beside the adapters
        backbone = Config.fromfile(ROOT / config).model.backbone
        assert trained(backbone) == int(count.replace(",", "")), config


@pytest.mark.parametrize("example", EXAMPLES, ids=["combined", "peft"])
def test_the_examples_build(example):
    if "Peft" in example:
        pytest.importorskip("peft", reason="needs the extra `peft`")
    values = {}
    exec(example, values)
    backbone = dict(type="ReinsDinoVisionTransformer", reins_config=values["reins_config"])
    assert trained(backbone) > 0
