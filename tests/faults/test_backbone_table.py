"""Every row of docs/backbones.md is what tools/list_backbones.py computes; takes half a minute."""

import pytest
from conftest import ROOT

from rein.engine.weights.backbone_table import ENTRIES, describe_backbone, markdown


@pytest.mark.faults
def test_the_whole_table_is_computed_as_printed():
    assert markdown(map(describe_backbone, ENTRIES)) in (ROOT / "docs/backbones.md").read_text()
