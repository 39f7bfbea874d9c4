"What the benchmarks share: options, interleaved rounds, medians, tables and the name of the machine."
import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

DATA_HELP = "a folder with train.csv and test.csv in the Yelp Polarity layout; for the servers also `sample`"


def arguments(
    about: str, # the script's docstring
    **more: tuple[type, object, str], # further options: type, default and help
) -> argparse.Namespace:
    "Options of a benchmark: the data, the number of rounds, and more."
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; medians are printed")
    for name, (kind, default, text) in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, help=text)
    return parser.parse_args()


def machine() -> str:
    "The processor, the number of cores and the version of Python."
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor()
    return f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}"


def timed(run: Callable) -> tuple[float, object]:
    "Seconds that a call took, and its result."
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def interleave(ways: dict[str, Callable], rounds: int) -> dict[str, tuple[float, object]]:
    "Median seconds and the last result of each way. Every round runs each way once."
    runs = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items(): runs[name].append(timed(run))
    return {
        name: (statistics.median(seconds for seconds, _ in results), results[-1][1])
        for name, results in runs.items()
    }


def table_row(cells: list) -> str:
    "A row of a table in Markdown."
    return "| " + " | ".join(map(str, cells)) + " |"


def table(header: list[str], rows: list[list]) -> str:
    "A table in Markdown."
    return "\n".join(map(table_row, [header, ["---"] * len(header), *rows]))
