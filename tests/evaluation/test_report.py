import re

from some_results import FAILED, RECORD, some_images, table_of

from rein.evaluation.report import paper_rows, table_rows, write_markdown


def test_markdown_has_miou_row_every_class_failures_and_record(tmp_path):
    images, table = some_images(), table_of(some_images())
    write_markdown(tmp_path / "results.md", table, [*images, FAILED], RECORD)
    text = (tmp_path / "results.md").read_text()
    lines = text.splitlines()
    assert "| config | checkpoint | protocol | Cityscapes | ACDC night | mean |" in lines
    assert (f"| rein_tiny | `0123456789ab` | rein | {table.miou[0]:.2f} | {table.miou[1]:.2f} | "
            f"{table.miou.mean():.2f} |") in lines
    assert f"| **mIoU** | **{table.miou[0]:.2f}**" in text and "| bicycle | - |" in text
    assert "1 of 5 images failed" in text and FAILED.error in text
    for fact in ("digest 0123456789ab", "rein_tiny", "Cityscapes 1024x512", "stride 341x341",
                 "training seed: 7", "torch 2"):
        assert fact in text


def test_latex_row_can_be_pasted():
    row = next(line for line in paper_rows([(RECORD, table_of(some_images()))]).splitlines()
               if "&" in line)
    assert re.fullmatch(r"rein\\_tiny & [\d.]+ & [\d.]+ & [\d.]+ \\\\  % protocol rein", row)


def test_table_has_a_row_per_class_and_measure_and_a_dash_for_nan():
    table = table_of(some_images())
    header, *rows = table_rows(table)
    assert header == ["class", "Cityscapes", "ACDC night", "mean"]
    assert [row[0] for row in rows] == [*table.classes, "mIoU", "mAcc", "aAcc"]
    assert rows[0][1:3] == [f"{value:.2f}" for value in table.iou[:, 0]]
    assert rows[18] == ["bicycle", "-", "-", "-"]
