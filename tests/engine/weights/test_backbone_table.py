"""The table in docs/backbones.md is what tools/list_backbones.py computes."""

import pytest
from conftest import ROOT

from rein.engine.weights.backbone_table import ENTRIES, TITLES, describe_backbone, select
from rein.errors import UserError
from rein.models.adapters import LoRAReins

LINES = [line.strip("| ").split(" | ") for line in (
    ROOT / "docs/backbones.md").read_text().splitlines() if line.startswith("| ")]


def test_the_page_has_the_rows_of_the_list():
    assert LINES[0] == list(TITLES)
    rows = LINES[2:]
    assert len(rows) == len(ENTRIES)
    for row, entry in zip(rows, ENTRIES, strict=True):
        assert row[6] == f"{entry.official} / timm:{entry.model}"
        assert row[1].split(" / ")[0] == entry.model.split(".")[0]


@pytest.mark.parametrize("word, trainable", [
    ("vit_small_patch16_dinov3.", 684_033), ("convnext_large.fb", 8_289_156),
    ("resnet50c", 13_187_588)])
def test_a_row_is_computed_as_printed(word, trainable):
    entry, = select([word])
    row = describe_backbone(entry)
    assert list(row) == LINES[2 + ENTRIES.index(entry)]
    assert row.trainable == f"{trainable:,}"


@pytest.mark.parametrize("word, trainable", [
    ("vit_large_patch14_dinov2", "2,990,081"), ("eva02_large", "2,990,081"),
    ("vit_large_patch14_clip", "2,990,081"), ("samvit_huge", "4,510,721"),
    ("resnet101c", "13,493,316")])
def test_the_page_has_the_published_counts(word, trainable):
    row, = (row for row in LINES if row[1].startswith(word))
    assert row[4] == trainable


def test_sam_with_four_refined_blocks_has_the_count_that_the_page_names():
    adapter = LoRAReins(num_layers=4, embed_dims=1280, patch_size=16)
    count = sum(value.numel() for value in adapter.parameters())
    assert f"have {count:,}." in (ROOT / "docs/backbones.md").read_text()


def test_an_unknown_word_is_refused():
    with pytest.raises(UserError, match="no backbone of the list"):
        select(["resnet50", "dinov3"])
