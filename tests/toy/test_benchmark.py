"""The benchmark of methods on the toy world lists its cells."""

from conftest import ROOT

from toy.benchmark import list_cells, parse_args
from toy.benchmark_cells import ALL_METHODS, METHODS


def test_an_unfinished_grid_compares_all_methods():
    cells = list_cells(parse_args(["--seeds", "0", "1"]))
    assert [cell.method for cell in cells[:4]] == list(METHODS)
    assert {cell.seed for cell in cells[:4]} == {0} and len(cells) == 8
    assert all((ROOT / path).is_file() for path in ALL_METHODS.values())
