from __future__ import annotations

import os

import pytest

from pydoudou.drivers.kit import own_process


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_the_number_is_that_of_the_system_in_a_forked_process_too() -> None:
    assert own_process.number == os.getpid()
    child = os.fork()
    if child == 0:
        os._exit(0 if own_process.number == os.getpid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert own_process.number == os.getpid()
