from rein.evaluation.curves import read_curves


def test_curves_of_a_resumed_run_join(tmp_path):
    (tmp_path / "a").write_text('{"loss": 3.0, "step": 1}\n{"loss": 2.0, "step": 2}\n{"lo')
    (tmp_path / "b").write_text('{"loss": 1.5, "step": 2, "time": 1.0}\n{"loss": NaN, "step": 3}')
    assert read_curves([tmp_path / "a", tmp_path / "b"]) == {"loss": [(1, 3.0), (2, 1.5)]}


def test_a_resume_from_an_earlier_step_drops_the_later_ones(tmp_path):
    (tmp_path / "a").write_text("".join(
        f'{{"loss": 9.0, "lr": 1.0, "step": {i}}}\n' for i in range(1, 8)))
    (tmp_path / "b").write_text("".join(f'{{"loss": 2.0, "step": {i}}}\n' for i in (4, 5)))
    (tmp_path / "c").write_bytes(b"\xff\xfe")
    assert read_curves([tmp_path / name for name in "abc"]) == {
        "loss": [(1, 9.0), (2, 9.0), (3, 9.0), (4, 2.0), (5, 2.0)],
        "lr": [(1, 1.0), (2, 1.0), (3, 1.0)]}
