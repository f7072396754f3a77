from rein.evaluation.curves import read_curves


def test_curves_of_a_resumed_run_join(tmp_path):
    (tmp_path / "a").write_text('{"loss": 3.0, "step": 1}\n{"loss": 2.0, "step": 2}\n{"lo')
    (tmp_path / "b").write_text('{"loss": 1.5, "step": 2, "time": 1.0}\n{"loss": NaN, "step": 3}')
    assert read_curves([tmp_path / "a", tmp_path / "b"]) == {"loss": [(1, 3.0), (2, 1.5)]}
