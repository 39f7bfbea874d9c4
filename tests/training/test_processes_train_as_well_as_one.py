"Several processes that train together on the CPU, by gloo, end with equal weights and are as accurate as one."
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

SCRIPT = Path(__file__).with_name("train_in_processes.py")


class Result(NamedTuple):
    "What one process printed."
    accuracy: float  # on validation
    weights: float   # sum of its own weights


def train(cache: Path, devices: int, optimizer: str) -> list[Result]:
    "Train on the sample; the result of each process."
    command = [sys.executable, SCRIPT, cache, str(devices), optimizer]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr[-2000:]
    printed = re.findall(r"RESULT ([\d.]+) (-?[\d.]+)", run.stdout)
    return [Result(float(accuracy), float(weights)) for accuracy, weights in printed]


@pytest.mark.parametrize("optimizer", ["fused", "adagrad"])
def test_two_processes_are_as_good_as_one(tmp_path, optimizer):
    [alone] = train(tmp_path, 1, optimizer)
    first, second = train(tmp_path, 2, optimizer)
    assert first == second
    assert abs(first.accuracy - alone.accuracy) < .012
    assert first.weights != alone.weights, "each process learned from its half of the reviews"
