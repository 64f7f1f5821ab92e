"""What failed is run once more, alone; what could not even be read is no matter of luck."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "once-more"
PASSES = "def test_it(): pass\n"
FAILS = "def test_it(): assert False\n"
FAILS_ONCE = """
from pathlib import Path
def test_it():
    ran = Path(__file__).with_suffix(".ran")
    first = not ran.exists()
    ran.touch()
    assert not first
"""
UNREADABLE = "import no_such_module\n"


def once_more(folder: Path, **modules: str) -> tuple[int, str]:
    """The exit code and the output of the script, in a project of these test modules."""
    (folder / ".ci").mkdir()
    script = shutil.copy(SCRIPT, folder / ".ci")
    for name, text in modules.items():
        (folder / f"test_{name}.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    pytest_here = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-q"]
    ran = subprocess.run([script, sys.executable, *pytest_here], capture_output=True, text=True, timeout=60)
    return ran.returncode, ran.stdout


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (PASSES, 0, "1 passed"),
        (FAILS, 1, "1 failed"),
        (FAILS_ONCE, 0, 'failed beside others, passed alone: "test_one.py::test_it"'),
    ],
    ids=["passes", "fails", "fails once"],
)
def test_what_fails_again_fails(text: str, code: int, said: str, tmp_path: Path) -> None:
    returned, output = once_more(tmp_path, one=text)
    assert (returned, said in output) == (code, True), output


def test_a_module_that_cannot_be_read_fails_at_once_and_by_name(tmp_path: Path) -> None:
    returned, output = once_more(tmp_path, one=FAILS_ONCE, two=UNREADABLE)
    assert returned == 1
    assert 'so that no test ran:\n"test_two.py"' in output
    assert "passed alone" not in output
