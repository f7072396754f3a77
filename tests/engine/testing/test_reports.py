"""Results of another test are replaced only on request; the overview keeps earlier protocols."""

import dataclasses

import numpy as np
import pytest

from rein.engine.testing.options import EvaluationOptions
from rein.engine.testing.reports import check_free, write_overview
from rein.errors import UserError
from rein.evaluation.result_files import save_results
from rein.evaluation.results import DomainResults, ImageResult, RunRecord

RECORD = RunRecord("a.pth", "12" * 32, "tiny", "rein", {"citys": "1024x512"}, "whole")


def results(folder, record=RECORD):
    counts = np.eye(2, dtype=np.int64)
    table = DomainResults(("citys",), ("a", "b"), counts[None], ("citys",), "rein")
    save_results(folder, table, [ImageResult("citys", "1.png", counts)], record)


def test_results_of_the_same_test_may_be_replaced_and_others_not(tmp_path):
    check_free(tmp_path / "empty", RECORD)
    results(tmp_path)
    check_free(tmp_path, dataclasses.replace(RECORD, date="later", checkpoint="moved.pth"))
    for change in (dict(digest="34" * 32), dict(protocol="full"), dict(inference="slide"),
                   dict(sizes={"citys": "2048x1024"})):
        with pytest.raises(UserError, match=f"another test.*{[*change][0]} is.*--force"):
            check_free(tmp_path, dataclasses.replace(RECORD, **change))
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(UserError, match="--force"):
        check_free(tmp_path, RECORD)


def test_results_of_other_images_are_kept(tmp_path):
    counts = np.eye(2, dtype=np.int64)
    images = [ImageResult("citys", f"d/val/{i}.png", counts, name=f"{i}.png", folder="val")
              for i in range(3)]
    images.append(ImageResult("citys", "d/val/9.png", error="no", name="9.png", folder="val"))
    table = DomainResults(("citys",), ("a", "b"), 3 * counts[None], ("citys",), "rein")
    save_results(tmp_path, table, images, RECORD)
    same = {"citys": {f"val/{i}.png" for i in (0, 1, 2, 9)}}
    check_free(tmp_path, RECORD, lambda: same)
    for other, message in ((same["citys"] - {"val/9.png"}, "4 images.*has 3; 3 are the same"),
                           ({f"test/{i}.png" for i in (0, 1, 2, 9)}, "has 4; 0 are the same")):
        with pytest.raises(UserError, match=f"{message}.*--force"):
            check_free(tmp_path, RECORD, lambda other=other: {"citys": other})


def overview(folder):
    """Return the digest and protocol of each row."""
    text = (folder / "protocols.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| tiny")]
    return [tuple(row[1:3]) for row in rows]


def test_the_overview_keeps_the_protocols_of_earlier_tests(tmp_path):
    full = dataclasses.replace(RECORD, protocol="full")
    for name, record in (("rein", RECORD), ("full", full), ("own", RECORD),
                         ("rein_tta", dataclasses.replace(RECORD, inference="slide; mean"))):
        results(tmp_path / name, record)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/results.json").write_text("{")
    options = EvaluationOptions(protocols=["rein"])
    write_overview(tmp_path, options, RECORD)
    assert overview(tmp_path) == [("`121212121212`", "rein"), ("`121212121212`", "full")]
    results(tmp_path / "rein", dataclasses.replace(RECORD, digest="34" * 32))
    write_overview(tmp_path, options, dataclasses.replace(RECORD, digest="34" * 32))
    assert overview(tmp_path) == [("`343434343434`", "rein")]


def test_a_domain_that_a_protocol_lacks_keeps_the_columns(tmp_path):
    results(tmp_path / "rein")
    counts = np.eye(2, dtype=np.int64)
    table = DomainResults(("bdd", "citys"), ("a", "b"), np.stack([counts, counts[::-1]]),
                          ("bdd", "citys"), "full")
    images = [ImageResult("bdd", "1.png", counts), ImageResult("citys", "1.png", counts[::-1])]
    save_results(tmp_path / "full", table, images, dataclasses.replace(RECORD, protocol="full"))
    write_overview(tmp_path, EvaluationOptions(protocols=["full"]), RECORD)
    text = (tmp_path / "protocols.md").read_text()
    assert "| rein | 100.00 | - | 100.00 |" in text and "| full | 0.00 | 100.00 | 50.00 |" in text
