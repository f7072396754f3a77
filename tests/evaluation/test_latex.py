"""The LaTeX table has the comparison's numbers, ranks them and marks significance."""

import dataclasses

import numpy as np
import pytest
from commands import ROOT, error_line, run_tool
from some_results import RECORD

from rein.evaluation import latex
from rein.evaluation.comparison import (
    Difference,
    find_runs,
    group_runs,
    paired_bootstrap,
    run_miou,
)
from rein.evaluation.latex import escape, latex_table
from rein.evaluation.result_files import save_results
from rein.evaluation.results import DomainResults, ImageResult


def save(folder, skills, images=20, **changes):
    """Save a run with a share of correct pixels by domain."""
    spread = np.random.default_rng(0).uniform(-0.05, 0.05, images)
    results = []
    for domain, skill in skills.items():
        for i in range(images):
            right = round(1000 * (skill + spread[i]))
            counts = np.array([[right, 1000 - right], [1000 - right, right]])
            results.append(ImageResult(domain, f"{domain}/{i}.png", counts))
    sums = np.stack([sum(r.confusion for r in results if r.domain == name) for name in skills])
    save_results(folder, DomainResults(tuple(skills), ("a", "b"), sums, tuple(skills), "rein"),
                 results, dataclasses.replace(RECORD, **changes))
    return str(folder)


@pytest.fixture
def runs(tmp_path):
    return [
        save(tmp_path / "b1", dict(citys=0.7, bdd=0.6), config="base_line", seed=1),
        save(tmp_path / "b2", dict(citys=0.72, bdd=0.6), config="base_line", seed=2),
        save(tmp_path / "o", dict(citys=0.8, bdd=0.6), config="ours & more", trainable=2_990_081),
        save(tmp_path / "w", dict(citys=0.65), config="third", trainable=0)]


def rows(runs):
    table = latex_table(runs, draws=300)
    body = table.partition("\\midrule\n")[2].partition("\\bottomrule")[0].splitlines()
    return [[cell.strip() for cell in line.removesuffix(r" \\").replace(r"\&", "+").split("&")]
            for line in body]


def test_rows_hold_means_deviations_and_trained_parameters(runs):
    base, ours, third = rows(runs)
    assert (base[0], base[1]) == (r"base\_line", "--")
    values = [100 * right / (2000 - right) for right in (
        np.round(1000 * (skill + np.random.default_rng(0).uniform(-0.05, 0.05, 20))).mean()
        for skill in (0.7, 0.72))]
    assert f"{np.mean(values):.1f}" in base[2] and f"{np.std(values, ddof=1):.1f}" in base[2]
    assert (ours[0], ours[1], third[1]) == ("ours + more", "2.99M", "0")
    assert third[3] == third[4] == "--"  # no mean over fewer domains beside the others'


def test_the_best_is_bold_and_the_second_underlined(runs):
    base, ours, third = rows(runs)
    assert ours[2].startswith(r"\textbf{") and base[2].startswith(r"\underline{")
    assert not third[2].startswith("\\")
    assert not ours[3].startswith("\\")  # a tie of all is no rank


def test_values_that_are_printed_alike_share_a_rank(tmp_path):
    found = rows([save(tmp_path / name, dict(citys=skill), config=name)
                  for name, skill in (("a", 0.8004), ("b", 0.8006), ("c", 0.7))])
    assert all(row[2].startswith(r"\textbf{66.9}") for row in found[:2])
    assert found[2][2].startswith(r"\underline{")
    means = [run_miou(run)["citys"] for run in find_runs([tmp_path])]
    assert means[0] < means[1]


def test_stars_follow_the_bounds_of_p(runs, monkeypatch):
    for p, stars in ((0.0009, "***"), (0.001, "**"), (0.01, "*"), (0.049, "*"), (0.05, "")):
        monkeypatch.setattr(
            latex, "paired_bootstrap", lambda *_, p=p: dict(citys=Difference(1, 0, 2, p)))
        found = rows([runs[0], runs[2]])[1][2].partition("}")[2]
        assert found == (f"$^{{{stars}}}$" if stars else "")


def test_stars_mark_the_bootstraps_p(runs):
    base, ours, _ = rows(runs)
    groups = group_runs(find_runs(runs))
    found = paired_bootstrap(groups[1], groups[0], draws=300)
    assert found["citys"].p < 0.01 and ours[2].endswith("$^{**}$")
    assert found["bdd"].p >= 0.05 and not ours[3].endswith("$")
    assert not base[2].endswith("}$")


def test_stars_need_significance_over_seeds_where_there_are_several(runs, tmp_path):
    again = [save(tmp_path / f"o{seed}", dict(citys=skill, bdd=0.6), config="ours & more",
                  seed=seed) for seed, skill in ((3, 0.9), (4, 0.74))]
    _, ours = rows([*runs[:2], *again])
    assert r"\textbf{" in ours[2] and not ours[2].endswith("}$")


def test_other_images_are_named(runs, tmp_path):
    few = save(tmp_path / "few", dict(citys=0.8, bdd=0.6), images=10, config="few")
    lines = [line for line in latex_table([*runs, few], draws=50).splitlines()
             if "OTHER IMAGES" in line]
    assert [line.split(";")[0] for line in lines] == ["% third", "% few"]


def test_names_are_escaped():
    assert escape("a_b & 50%") == r"a\_b \& 50\%"
    assert escape("\\x{}") == r"\textbackslash{}x\{\}"


def test_the_command_writes_the_table_and_replaces_nothing(runs, tmp_path):
    command = ROOT / "tools/compare.py", *runs, "--draws", 300, "--latex", tmp_path / "table.tex"
    done = run_tool(*command)
    assert (tmp_path / "table.tex").read_text() == latex_table(runs, draws=300)
    assert done.stdout.splitlines()[-1].endswith(f"written to {tmp_path / 'table.tex'}")
    assert "already exists" in error_line(run_tool(*command, check=False))
