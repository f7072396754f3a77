"""Results of another test are replaced only on request."""

import dataclasses

import numpy as np
import pytest

from rein.engine.testing.reports import check_free
from rein.errors import UserError
from rein.evaluation.results import DomainResults, ImageResult, RunRecord, save_results

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
