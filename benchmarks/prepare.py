"""File to packed ids against torchtext's own pipeline, and the peak memory at 560,000 reviews.

    python benchmarks/prepare.py --data FOLDER
"""
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from common import arguments, interleave, machine, table
from torchtext.datasets.text_classification import _create_data_from_iterator, _csv_iterator
from torchtext.vocab import build_vocab_from_iterator

from yelp_reviews.core.settings import get_settings
from yelp_reviews.data.preparation import prepare
from yelp_reviews.text.corpus import pack
from yelp_reviews.text.kernels import hash_texts

N_GRAMS = 2 # torchtext keeps every n-gram in a dictionary, which trigrams of this many reviews do not fit well


def ours(csv_file: Path, n_grams: int = N_GRAMS) -> int:
    "Prepare and pack in an empty cache; the number of buckets written."
    with tempfile.TemporaryDirectory() as cache:
        reviews = prepare(str(csv_file), settings=get_settings(cache=cache), progress=False)
        return len(pack(reviews, n_grams, progress=False).ids)


def torchtexts(csv_file: Path) -> int:
    "What torchtext 0.6.0's `TextClassificationDataset` does: build a vocabulary, look up every n-gram, write the ids."
    vocabulary = build_vocab_from_iterator(_csv_iterator(str(csv_file), N_GRAMS))
    reviews = _csv_iterator(str(csv_file), N_GRAMS, yield_cls=True)
    data, _ = _create_data_from_iterator(vocabulary, reviews, include_unk=False)
    with tempfile.NamedTemporaryFile() as f: torch.save(data, f.name)
    return sum(len(ids) for _, ids in data)


def repeated(source: Path, times: int, folder: Path) -> Path:
    "The rows of a file several times; each copy has a word of its own, so no row is a duplicate."
    path = folder / f"times{times}.csv"
    with open(source, newline="") as f, open(path, "w", newline="") as out:
        rows, writer = list(csv.reader(f)), csv.writer(out, quoting=csv.QUOTE_ALL)
        for copy in range(times): writer.writerows([label, f"{text} copy{copy}"] for label, text in rows)
    return path


PEAK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from prepare import ours
ours(Path(sys.argv[2]), n_grams=3)
print(*[line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")])
"""


def peak(csv_file: Path) -> float:
    "Peak resident memory in GB of a process that prepares and packs a file, mapped files included."
    command = [sys.executable, "-c", PEAK, Path(__file__).parent, csv_file]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(output.split()[-1]) / 1e6


def memory_row(csv_file: Path) -> list[str]:
    "Number of reviews, megabytes of text and peak memory for one file."
    with open(csv_file, newline="") as f: reviews = sum(1 for _ in csv.reader(f))
    return [f"{reviews:,}", f"{csv_file.stat().st_size / 1e6:,.0f}", f"{peak(csv_file):.2f}"]


if __name__ == "__main__":
    options = arguments(__doc__)
    train = Path(options.data) / "train.csv"
    hash_texts(["compiles or loads the loops"], N_GRAMS, 22)
    results = interleave({"yelp-reviews": lambda: ours(train), "torchtext": lambda: torchtexts(train)}, options.rounds)
    peer = results["torchtext"][0]
    speed = [[name, f"{seconds:.2f}", f"{peer / seconds:.1f}"] for name, (seconds, _) in results.items()]
    print(f"{machine()}; {options.rounds} interleaved rounds, medians\n")
    print(table(["file to packed bigrams", "seconds", "rate against torchtext"], speed), "\n")
    with tempfile.TemporaryDirectory() as folder:
        memory = [memory_row(repeated(train, times, Path(folder))) for times in (1, 6, 12)]
    print(table(["reviews", "MB of text", "peak memory, GB (trigrams)"], memory))
