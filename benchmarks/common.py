"""What the benchmarks share: interleaved rounds, medians, ratios, the machine's name."""
import argparse, os, platform, statistics, time
from collections.abc import Callable
from pathlib import Path


def arguments(about: str, **more) -> argparse.Namespace:
    "The command line of a benchmark: a Yelp Polarity archive or folder, and the number of rounds."
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--data", required=True, help="a folder with train.csv and test.csv in the Yelp Polarity layout")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; medians are printed")
    for name, (kind, default, text) in more.items(): parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=default, help=text)
    return parser.parse_args()


def machine() -> str:
    "The processor and the number of cores."
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def timed(run: Callable) -> tuple[float, object]:
    "Seconds that a call took, and its result."
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def interleave(ways: dict[str, Callable], rounds: int) -> dict[str, tuple[float, object]]:
    "Median seconds and the last result of each way, all ways once a round."
    done = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items(): done[name].append(timed(run))
    return {name: (statistics.median(s for s, _ in runs), runs[-1][1]) for name, runs in done.items()}


def table(header: list[str], rows: list[list]) -> str:
    "A table in Markdown."
    line = lambda cells: "| " + " | ".join(map(str, cells)) + " |"
    return "\n".join([line(header), line(["---"] * len(header)), *map(line, rows)])
