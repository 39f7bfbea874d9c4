"The synthetic sample is the same in every process, and its vocabulary is read when it is needed."
import os
import subprocess
import sys

import pytest

SAMPLE_DIGEST = "43840581bd0975034ba6b6687e34af414b785fbc547b04f9833c29e7e9e07407"

DIGEST = """
import hashlib, json
from yelp_reviews.data.sample import generate
print(hashlib.sha256(json.dumps(generate(2000, seed=5)).encode()).hexdigest())
"""

OPENED = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from yelp_reviews.data.sample import generate
print(sum("grammar" in path for path in opened))
generate(1)
print(sum("grammar" in path for path in opened))
"""


def run_python(code: str, **env) -> list[str]:
    "What a new Python process prints, word by word."
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_sample_does_not_depend_on_the_process(hash_seed):
    assert run_python(DIGEST, PYTHONHASHSEED=hash_seed) == [SAMPLE_DIGEST]


def test_vocabulary_is_read_on_first_use():
    at_import, after_generating = map(int, run_python(OPENED))
    assert at_import == 0
    assert after_generating == 6
