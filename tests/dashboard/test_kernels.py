"Each visitor has a kernel of their own, which ends after they leave."
import subprocess
import time

import pytest
from conftest import until
from playwright.sync_api import expect

from dashboard.pages import MIXED_REVIEW, classify, explained_review


def process_ids(*options: str) -> set[str]:
    return set(subprocess.run(["pgrep", *options], capture_output=True, text=True).stdout.split())


@pytest.mark.slow
def test_each_visitor_has_a_kernel_that_ends(visit, stack):
    voila = str(stack.dashboard.process.pid)

    def kernels() -> set[str]:
        return process_ids("-g", voila, "-f", "ipykernel") or process_ids("-P", voila)

    time.sleep(2)
    pages = {"one": visit(), "two": visit()}
    for name, page in pages.items():
        classify(page, f"{MIXED_REVIEW} {name}")
    for name, page in pages.items():
        expect(explained_review(page)).to_contain_text(name)

    until(lambda: len(kernels()) >= 4, 30)  # two that are used, two that wait
    for page in pages.values():
        page.goto("about:blank")
    until(lambda: len(kernels()) <= 2, 15)  # the pages have ended them; idle ones would stay for minutes
