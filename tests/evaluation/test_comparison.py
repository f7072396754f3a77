"""Comparison of runs: means and deviations match by hand; the bootstrap is paired and seeded."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from rein.errors import UserError
from rein.evaluation.comparison import (
    MEAN,
    areas,
    common_images,
    compare_over_seeds,
    find_runs,
    group_runs,
    miou,
    paired_bootstrap,
)
from rein.evaluation.comparison_report import compare
from rein.evaluation.result_files import save_results
from rein.evaluation.results import DomainResults, ImageResult, RunRecord

RECORD = RunRecord("a.pth", "12" * 32, "base", "rein", {"citys": "1024x512"}, "whole", seed=1)


def save(folder, skill, images=30, record=RECORD, leave_out=()):
    """Save a run with about `skill` of the pixels correct, on images of varying difficulty."""
    hardness = np.random.default_rng(0).uniform(-0.2, 0.2, images)
    results = []
    for i in range(images):
        right = np.clip(skill + hardness[i], 0, 1)
        counts = np.array([[700, 300], [200, 800]]) * (1 - right) + np.eye(2) * 1000 * right
        if i not in leave_out:
            results.append(ImageResult("citys", f"x/{i}.png", counts.astype(np.int64)))
    total = sum(image.confusion for image in results)
    save_results(folder, DomainResults(("citys",), ("a", "b"), total[None], ("citys",), "rein"),
                 results, record)
    return str(folder)


def one_run_groups(*folders):
    return [group_runs(find_runs([folder]))[0] for folder in folders]


def test_miou_of_summed_areas_equals_the_reported_miou():
    rng = np.random.default_rng(1)
    confusion = rng.integers(0, 50, (2, 4, 4))
    confusion[0, 3], confusion[0, :, 3] = 0, 0  # a class that does not occur
    expected = DomainResults(("a", "b"), tuple("wxyz"), confusion, ("a",)).miou
    assert miou(areas(confusion)) == pytest.approx(expected)


def test_seeds_of_one_config_are_grouped_with_mean_and_deviation(tmp_path):
    folders = [save(tmp_path / f"s{seed}", skill, record=dataclasses.replace(RECORD, seed=seed))
               for seed, skill in ((1, 0.5), (2, 0.6), (3, 0.7))]
    folders.append(save(tmp_path / "new", 0.8, record=dataclasses.replace(RECORD, config="new")))
    groups = group_runs(find_runs(folders))
    assert [(group.name, len(group.runs)) for group in groups] == [("base", 3), ("new", 1)]
    values = [float(miou(areas(sum(run.confusion["citys"].values())))) for run in groups[0].runs]
    cell = f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"
    text = compare(folders, draws=200)
    assert f"| base | 3 | {cell} | {cell} |" in text.splitlines()
    assert "# Against base" in text and "| new | +" in text and "30 of Cityscapes" in text


def test_protocols_and_checkpoints_of_one_seed_are_never_grouped(tmp_path):
    save(tmp_path / "both/rein", 0.5)
    save(tmp_path / "both/full", 0.5, record=dataclasses.replace(RECORD, protocol="full"))
    later = save(tmp_path / "later", 0.6, record=dataclasses.replace(RECORD, digest="34" * 32))
    names = [group.name for group in group_runs(find_runs([tmp_path / "both"]))]
    assert names == ["base, full", "base, rein"]
    names = [group.name for group in group_runs(find_runs([tmp_path / "both/rein", later]))]
    assert names == [f"base ({tmp_path / 'both/rein'})", f"base ({later})"]
    large = save(tmp_path / "large", 0.5, record=dataclasses.replace(
        RECORD, sizes={"citys": "2048x1024"}))
    names = [group.name for group in group_runs(find_runs([later, large]))]
    assert names == ["base, Cityscapes 1024x512", "base, Cityscapes 2048x1024"]


def test_bootstrap_pairs_images_so_that_a_small_steady_gain_is_significant(tmp_path):
    better, base = one_run_groups(save(tmp_path / "a", 0.52), save(tmp_path / "b", 0.50))
    found = paired_bootstrap(better, base, draws=1000)["citys"]
    assert 0 < found.low < found.value < found.high and found.p == 0.001
    other = save(tmp_path / "c", 0.52, record=dataclasses.replace(RECORD, config="new"))
    assert "], p < 0.002 |" in compare([tmp_path / "b", other], draws=1000)
    # the spread between images far exceeds the gain; an unpaired test would miss it
    spread = np.std([float(miou(areas(counts)))
                     for counts in base.runs[0].confusion["citys"].values()])
    assert spread > 3 * found.value


def test_a_run_does_not_differ_from_itself(tmp_path):
    same, again = one_run_groups(save(tmp_path / "a", 0.5), save(tmp_path / "b", 0.5))
    assert paired_bootstrap(same, again, draws=100)[MEAN] == (0, 0, 0, 1)


def test_interval_approximates_normal_theory(tmp_path):
    rng = np.random.default_rng(0)
    images = []
    for name in ("a", "b"):
        right = rng.integers(300, 700, 400)
        results = [ImageResult("citys", f"{i}.png", np.diag([n, 0]) + [[0, 1000 - n], [0, 0]])
                   for i, n in enumerate(right)]
        total = sum(image.confusion for image in results)
        save_results(tmp_path / name, DomainResults(
            ("citys",), ("a", "b"), total[None], ("citys",)), results, RECORD)
        images.append(right / 10)
    found = paired_bootstrap(*one_run_groups(tmp_path / "a", tmp_path / "b"), draws=4000)["citys"]
    # class b is never labelled but always predicted somewhere: mIoU is half of a's IoU
    error = np.std(images[0] - images[1], ddof=1) / 2 / np.sqrt(400)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    two_sided = 2 * scipy.stats.norm.sf(abs(found.value) / error)
    assert two_sided > 0.2 and found.p == pytest.approx(two_sided, abs=0.05)


def seeds_of(folder, config, skills):
    """Save runs of a config, one seed each."""
    return [save(folder / f"{config}{seed}", skill,
                 record=dataclasses.replace(RECORD, config=config, seed=seed))
            for seed, skill in enumerate(skills)]


def test_significance_over_seeds_is_welch_s(tmp_path):
    folders = [*seeds_of(tmp_path, "base", (0.50, 0.52, 0.56)),
               *seeds_of(tmp_path, "new", (0.58, 0.59))]
    base, new = group_runs(find_runs(folders))
    a, b = ([float(miou(areas(sum(run.confusion["citys"].values())))) for run in side.runs]
            for side in (new, base))
    expected = scipy.stats.ttest_ind(a, b, equal_var=False)
    for found in (compare_over_seeds(new, base)[name] for name in ("citys", MEAN)):
        assert found.value == pytest.approx(np.mean(a) - np.mean(b))
        assert found.p == pytest.approx(expected.pvalue)
        interval = expected.confidence_interval()
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    text = compare(folders, draws=100)
    assert "over training seeds" in text and f"p = {expected.pvalue:.2g} |" in text


def test_seeds_are_compared_on_shared_images_and_the_first_groups_domains(tmp_path):
    hard = np.argsort(np.random.default_rng(0).uniform(-0.2, 0.2, 30))[:15]
    folders = seeds_of(tmp_path, "base", (0.5, 0.52))
    folders += [save(tmp_path / f"new{seed}", skill, leave_out=hard,
                     record=dataclasses.replace(RECORD, config="new", seed=seed))
                for seed, skill in enumerate((0.5, 0.52))]
    base, new = group_runs(find_runs(folders))
    for found in (compare_over_seeds(new, base), paired_bootstrap(new, base, draws=50)):
        assert found["citys"].value == found[MEAN].value == pytest.approx(0)


@pytest.mark.parametrize("change, names", [
    (dict(recipe="cd34"), ["base, recipe unknown", "base, recipe cd34"]),
    (dict(model="cd34"), ["base, model unknown", "base, model cd34"]),
    (dict(inference="slide"), ["base, whole", "base, slide"]),
    (dict(sizes={"citys": "2048x1024"}),
     ["base, Cityscapes 1024x512", "base, Cityscapes 2048x1024"])],
    ids=["recipe", "model", "way", "sizes"])
def test_runs_trained_or_tested_otherwise_are_a_group_of_another_name(tmp_path, change, names):
    for seed, changes in enumerate(({}, {}, change)):
        save(tmp_path / str(seed), 0.5, record=dataclasses.replace(RECORD, seed=seed, **changes))
    groups = group_runs(find_runs([tmp_path]))
    assert [(group.name, len(group.runs)) for group in groups] == [*zip(names, (2, 1), strict=True)]


def test_seeds_tested_on_other_images_are_no_group(tmp_path):
    one, other = save(tmp_path / "one", 0.5), save(
        tmp_path / "other", 0.5, images=20, record=dataclasses.replace(RECORD, seed=2))
    assert [group.name for group in group_runs(find_runs([one, other]))] == [
        f"base on the images of {one}", f"base on the images of {other}"]


def test_seeds_with_means_over_other_domains_are_no_group(tmp_path):
    runs = find_runs([save(tmp_path / "a", 0.5), save(
        tmp_path / "b", 0.5, record=dataclasses.replace(RECORD, seed=2))])
    runs[1] = runs[1]._replace(mean_domains=())
    assert [group.name for group in group_runs(runs)] == [
        "base, mean over Cityscapes", "base, mean over nothing"]


def test_too_few_images_give_no_interval(tmp_path):
    folders = [save(tmp_path / name, skill, images=5, record=dataclasses.replace(
        RECORD, config=name)) for name, skill in (("base", 0.3), ("new", 0.9))]
    found = paired_bootstrap(*reversed(group_runs(find_runs(folders))), draws=100)
    assert found[MEAN].value > 0 and np.isnan([found[MEAN].low, found[MEAN].p]).all()
    row = compare(folders, draws=100).splitlines()[-1]
    assert row.startswith("| new | +") and "[" not in row


def test_the_bootstrap_averages_over_a_groups_runs(tmp_path):
    folders = [*seeds_of(tmp_path, "base", (0.5, 0.5)), *seeds_of(tmp_path, "new", (0.5, 0.52))]
    base, new = group_runs(find_runs(folders))
    found = paired_bootstrap(new, base, draws=100)["citys"]
    assert 0 < found.low < found.value < found.high


def save_domains(folder, skills, targets=("citys", "bdd")):
    """Save a run with a share of correct pixels by domain, on images of varying difficulty."""
    hardness = np.random.default_rng(0).uniform(-0.05, 0.05, 20)
    images = [ImageResult(domain, f"{domain}/{i}.png", np.round(
        1000 * (np.eye(2) + (1 - skill - one) * np.array([[-1, 1], [1, -1]]))).astype(int))
        for domain, skill in skills.items() for i, one in enumerate(hardness)]
    sums = [sum(image.confusion for image in images if image.domain == name) for name in skills]
    table = DomainResults(tuple(skills), ("a", "b"), np.stack(sums), targets, "rein")
    save_results(folder, table, images, dataclasses.replace(RECORD, config=folder.name))
    return folder


def test_the_mean_is_over_the_targets_of_the_first_group(tmp_path):
    base = save_domains(tmp_path / "base", dict(citys=0.5, bdd=0.5, acdc=0.5))
    new = save_domains(tmp_path / "new", dict(citys=0.6, bdd=0.5, acdc=0.9))
    found = paired_bootstrap(*one_run_groups(new, base), draws=200)
    assert found[MEAN].value == pytest.approx((found["citys"].value + found["bdd"].value) / 2)
    assert found[MEAN].low < found[MEAN].value < found[MEAN].high < found["citys"].low


def test_a_mean_without_a_target_says_so(tmp_path):
    base = save_domains(tmp_path / "base", dict(citys=0.5, bdd=0.5))
    few = save_domains(tmp_path / "few", dict(citys=0.5), targets=("citys",))
    assert "20 of Cityscapes, so the mean excludes BDD100K." in compare([base, few], draws=50)


def test_one_seed_says_nothing_about_seeds(tmp_path):
    folders = [*seeds_of(tmp_path, "base", (0.5, 0.5)), *seeds_of(tmp_path, "new", (0.6,)),
               *seeds_of(tmp_path, "same", (0.5, 0.5))]
    base, new, same = group_runs(find_runs(folders))
    assert compare_over_seeds(new, base) == {}
    assert compare_over_seeds(same, base)[MEAN] == (0, 0, 0, 1)
    assert "over training seeds" not in compare(folders[:3], draws=100)


def test_equal_seeds_give_equal_draws(tmp_path):
    sides = one_run_groups(save(tmp_path / "a", 0.52), save(tmp_path / "b", 0.50))
    first, again, other = (paired_bootstrap(*sides, draws=700, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


def test_only_common_images_are_compared(tmp_path):
    a = save(tmp_path / "a", 0.6, leave_out=(3, 4))
    b = save(tmp_path / "b", 0.5, record=dataclasses.replace(RECORD, config="other"))
    assert len(common_images(find_runs([a, b]))["citys"]) == 28
    assert "images in common: 28 of Cityscapes" in compare([a, b], draws=100)


def test_runs_that_cannot_be_compared_raise(tmp_path):
    a = save(tmp_path / "a", 0.6, leave_out=range(10))
    b = save(tmp_path / "b", 0.6, images=5, record=dataclasses.replace(RECORD, config="other"))
    with pytest.raises(UserError, match="no image in common"):
        compare([a, b])
    with pytest.raises(UserError, match="no such file"):
        compare([tmp_path / "nothing"])


def save_named(folder, paths, skill=0.6, record=RECORD, root="/data/citys", below="images",
               classes=("a", "b")):
    """Save a run on images of a known data root, named by their paths below `below`."""
    right = int(1000 * skill)
    counts = np.array([[right, 1000 - right], [0, 1000]])
    images = [ImageResult("citys", f"{root}/{below}/{path}", counts, name=path, folder=below)
              for path in paths]
    table = DomainResults(("citys",), classes, counts[None] * len(images), ("citys",), "rein")
    save_results(folder, table, images, record)
    return str(folder)


def test_images_are_paired_by_their_path_below_the_data_root(tmp_path):
    other = dataclasses.replace(RECORD, config="other")
    whole = save_named(tmp_path / "all", ["ulm/1.png", "ulm/2.png", "bonn/1.png"])
    city = save_named(tmp_path / "ulm", ["1.png", "2.png"], record=other, below="images/ulm",
                      root="/elsewhere")
    assert common_images(find_runs([whole, city])) == {
        "citys": ["images/ulm/1.png", "images/ulm/2.png"]}
    assert "images in common: 2 of Cityscapes" in compare([whole, city], draws=100)
    sequences = [save_named(tmp_path / name, ["1.png"], below=f"images/{name}", record=record)
                 for name, record in (("a", RECORD), ("b", other))]
    with pytest.raises(UserError, match="no image in common"):
        compare(sequences)


def test_a_domain_without_labelled_pixels_counts_nowhere(tmp_path):
    counts = np.diag([1000, 1000])
    for name in ("base", "other"):
        images = [ImageResult("citys", f"x/{i}.png", counts) for i in range(3)]
        images.append(ImageResult("bdd", "y/1.png", 0 * counts))
        table = DomainResults(("citys", "bdd"), ("a", "b"), np.stack([3 * counts, 0 * counts]),
                              ("citys", "bdd"), "rein")
        save_results(tmp_path / name, table, images, dataclasses.replace(RECORD, config=name))
    assert table.mean(table.miou) == 100
    lines = compare([tmp_path / "base", tmp_path / "other"], draws=100).splitlines()
    assert any(line.endswith("| 1 | 100.00 | - | 100.00 |") for line in lines)
    row = next(line for line in lines if line.startswith("| other | +"))
    assert row.split(" | ")[2] == "-" and row.split(" | ")[3].startswith("+0.00")


def test_runs_with_other_classes_are_refused(tmp_path):
    runs = [save_named(tmp_path / name, ["1.png"], classes=classes)
            for name, classes in (("a", ("road", "sky")), ("b", ("road", "car")))]
    with pytest.raises(UserError, match=r"b: .*road, car \(2\).*a with road, sky \(2\)"):
        compare(runs)


def test_runs_with_unknown_seeds_are_no_group(tmp_path):
    unknown = dataclasses.replace(RECORD, seed=None)
    runs = [save(tmp_path / name, 0.5, record=unknown) for name in ("a", "b")]
    assert [len(group.runs) for group in group_runs(find_runs(runs))] == [1, 1]
    assert [len(group.runs) for group in group_runs(find_runs(runs[:1]))] == [1]
    runs.append(save(tmp_path / "c", 0.5))
    assert [len(group.runs) for group in group_runs(find_runs(runs))] == [1, 1, 1]


def test_the_note_counts_the_images_of_each_pair(tmp_path):
    records = [dataclasses.replace(RECORD, config=name) for name in ("base", "few", "all")]
    runs = [save(tmp_path / record.config, 0.5, record=record, leave_out=left)
            for record, left in zip(records, ((), range(20), ()), strict=True)]
    text = compare(runs, draws=100)
    assert "images in common: 10 of Cityscapes (few); 30 of Cityscapes (all)" in text
