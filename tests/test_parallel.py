import os
import time

import pytest

from rein.errors import UserError
from rein.parallel import in_processes


def _square(item):
    time.sleep(0.05 * (item == 0))  # the first item ends after later ones
    return item * item, os.getpid()


def _die(item):
    os._exit(1)


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_items(workers):
    results = list(in_processes(_square, range(20), workers))
    assert [square for square, _ in results] == [i * i for i in range(20)]
    assert (os.getpid() in {process for _, process in results}) == (workers == 1)


def test_death_of_a_worker_is_reported():
    with pytest.raises(UserError, match="worker process died"):
        list(in_processes(_die, range(4), workers=2))


def test_fewer_than_one_worker_is_refused():
    with pytest.raises(UserError, match="-1 workers: expected at least 1"):
        next(in_processes(_square, [1], workers=-1))


def test_no_items_give_no_results():
    assert list(in_processes(_square, [], workers=2)) == []
