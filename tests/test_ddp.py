"Several processes train together, by gloo on the CPU, and come to the same weights and the same accuracy as one."
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("ddp.py")


def trained(cache, devices: int, optimizer: str) -> list[tuple[float, float]]:
    "Accuracy on validation and the sum of its own weights, as each process printed them."
    run = subprocess.run([sys.executable, SCRIPT, cache, str(devices), optimizer], capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr[-2000:]
    return [(float(a), float(w)) for a, w in re.findall(r"RESULT ([\d.]+) (-?[\d.]+)", run.stdout)]


@pytest.mark.parametrize("optimizer", ["fused", "adagrad"])
def test_two_processes_are_as_good_as_one(tmp_path, optimizer):
    [one], two = trained(tmp_path, 1, optimizer), trained(tmp_path, 2, optimizer)
    assert len(two) == 2 and two[0] == two[1]
    assert abs(two[0][0] - one[0]) < .012
    assert two[0][1] != one[1], "each learned from its half of the reviews"
