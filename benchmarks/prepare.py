"""File to packed ids against torchtext's own pipeline, and the peak memory at 560,000 reviews.

    python benchmarks/prepare.py --data FOLDER
"""
import csv, subprocess, sys, tempfile
from pathlib import Path
import torch
from torchtext.datasets.text_classification import _create_data_from_iterator, _csv_iterator
from torchtext.vocab import build_vocab_from_iterator
from yelp_reviews.core.settings import get_settings
from yelp_reviews.data.preparation import prepare
from yelp_reviews.text.kernels import hash_texts
from yelp_reviews.text.corpus import pack
from common import arguments, interleave, machine, table

N_GRAMS = 2 # torchtext keeps every n-gram in a dictionary, so that trigrams of this many reviews do not fit its pipeline well


def ours(csv_file: Path, n_grams: int = N_GRAMS) -> int:
    "Prepare and pack in an empty cache; the number of buckets written."
    with tempfile.TemporaryDirectory() as cache:
        return len(pack(prepare(str(csv_file), settings=get_settings(cache=cache), progress=False), n_grams, progress=False).ids)


def torchtexts(csv_file: Path) -> int:
    "What torchtext 0.6.0's `TextClassificationDataset` does: build a vocabulary, look every n-gram up; then write the ids."
    vocabulary = build_vocab_from_iterator(_csv_iterator(str(csv_file), N_GRAMS))
    data, _ = _create_data_from_iterator(vocabulary, _csv_iterator(str(csv_file), N_GRAMS, yield_cls=True), include_unk=False)
    with tempfile.NamedTemporaryFile() as f: torch.save(data, f.name)
    return sum(len(ids) for _, ids in data)


def repeated(source: Path, times: int, folder: Path) -> Path:
    "The rows of a file several times over, each copy with a word of its own, so that none is a duplicate."
    path = folder / f"times{times}.csv"
    with open(source, newline="") as f, open(path, "w", newline="") as out:
        writer, rows = csv.writer(out, quoting=csv.QUOTE_ALL), list(csv.reader(f))
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
    run = subprocess.run([sys.executable, "-c", PEAK, Path(__file__).parent, csv_file], capture_output=True, text=True, check=True)
    return int(run.stdout.split()[-1]) / 1e6


if __name__ == "__main__":
    options = arguments(__doc__)
    train = Path(options.data) / "train.csv"
    hash_texts(["compiles or loads the loops"], N_GRAMS, 22)
    found = interleave({"yelp-reviews": lambda: ours(train), "torchtext": lambda: torchtexts(train)}, options.rounds)
    peer = found["torchtext"][0]
    print(f"{machine()}; {options.rounds} interleaved rounds, medians\n")
    print(table(["file to packed bigrams", "seconds", "rate against torchtext"], [[name, f"{s:.2f}", f"{peer / s:.1f}"] for name, (s, _) in found.items()]), "\n")
    with tempfile.TemporaryDirectory() as folder:
        files = [repeated(train, times, Path(folder)) for times in (1, 6, 12)]
        rows = [[f"{sum(1 for _ in csv.reader(open(f, newline=''))):,}", f"{f.stat().st_size / 1e6:,.0f}", f"{peak(f):.2f}"] for f in files]
    print(table(["reviews", "MB of text", "peak memory, GB (trigrams)"], rows))
