"""Training with the corpus on the device: seconds an epoch and to the best accuracy, beside the ceiling that memory sets.

    python benchmarks/gpu_train.py --data FOLDER [--device cpu]
"""
import tempfile, time
from dataclasses import replace
import numpy as np, torch
from yelp_reviews.cli.training import read_recipe
from yelp_reviews.core.settings import get_settings
from yelp_reviews.data.preparation import prepare
from yelp_reviews.model.batches import BagData
from yelp_reviews.model.text_sentiment import TextSentiment
from yelp_reviews.text.corpus import Corpus, pack
from yelp_reviews.training.trainer import fit, seed_everything
from common import arguments, machine, table


def repeated(corpus: Corpus, rows: int) -> Corpus:
    "The train part of a corpus over and over, up to so many reviews, with the other parts once."
    times = -(-rows // len(corpus.rows("train")))
    sizes, split = np.tile(np.diff(corpus.offsets), times), np.tile(corpus.split, times)
    split[len(corpus.split):][split[len(corpus.split):] != 0] = -1
    split[np.flatnonzero(split == 0)[rows:]] = -1
    return replace(corpus, ids=np.tile(corpus.ids, times), offsets=np.concatenate([[0], np.cumsum(sizes)]), words=np.tile(corpus.words, times),
                   labels=np.tile(corpus.labels, times), split=split)


def bandwidth(device: torch.device, size: int = 1 << 30) -> float:
    "Bytes read and written a second by a large copy on the device."
    source, target = torch.empty(size, dtype=torch.uint8, device=device), torch.empty(size, dtype=torch.uint8, device=device)
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for repeat in range(3):
        wait()
        start = time.perf_counter()
        for _ in range(10): target.copy_(source)
        wait()
    return 20 * size / (time.perf_counter() - start)


def must_move(corpus: Corpus, batch_size: int) -> float:
    "Bytes an epoch cannot do without: an id, its weight and its gradient for each n-gram; weights, squares and gradients of the table each step."
    rows = corpus.rows("train")
    n_grams = int(np.diff(corpus.offsets)[rows].sum())
    steps = -(-len(rows) // batch_size)
    return n_grams * (4 + 4 + 4) + steps * 2**corpus.bits * 4 * 5


if __name__ == "__main__":
    options = arguments(__doc__, device=(str, "gpu", "gpu, or cpu to try the script"), reviews=(int, 560_000, "reviews to train on"))
    recipe = read_recipe("gpu")
    device = torch.device("cuda" if options.device == "gpu" else "cpu")
    with tempfile.TemporaryDirectory() as cache:
        small = pack(prepare(options.data, settings=get_settings(cache=cache), progress=False), progress=False)
        corpus = repeated(small, options.reviews)
    ceiling = must_move(corpus, recipe["batch_size"]) / bandwidth(device)
    rounds = []
    for _ in range(options.rounds):
        seed_everything(0)
        model = TextSentiment(optimizer=recipe["optimizer"], lr=recipe["lr"])
        start = time.perf_counter()
        _, history = fit(model, BagData(corpus, recipe["batch_size"]), recipe["max_epochs"], accelerator=options.device)
        best = min(range(len(history)), key=lambda i: history[i]["val_loss"])
        rounds.append((np.median([row["seconds"] for row in history]), time.perf_counter() - start, sum(row["seconds"] for row in history[:best + 1]), history[best]["val_accuracy"]))
    name = torch.cuda.get_device_name() if device.type == "cuda" else machine()
    epoch, whole, to_best, accuracy = np.median(rounds, 0)
    print(f"\n{name}; {options.reviews:,} reviews, {options.rounds} rounds, medians\n")
    print(table(["seconds an epoch", "ceiling", "to the best epoch", "whole run, checkpoints and all", "validation accuracy"],
                [[f"{epoch:.2f}", f"{ceiling:.3f}", f"{to_best:.2f}", f"{whole:.2f}", f"{accuracy:.2%}"]]))
