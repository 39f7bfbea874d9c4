"""Training with the corpus on the device: seconds per epoch and to the best accuracy, and the limit set by its memory.

    python benchmarks/gpu_train.py --data FOLDER [--device cpu]
"""
import tempfile
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from common import arguments, machine, table

from yelp_reviews.cli.training import read_recipe
from yelp_reviews.core.settings import get_settings
from yelp_reviews.data.preparation import prepare
from yelp_reviews.model.batches import BagData
from yelp_reviews.model.text_sentiment import TextSentiment
from yelp_reviews.text.corpus import Corpus, pack
from yelp_reviews.training.trainer import fit, seed_everything

HEADER = ["seconds an epoch", "ceiling", "to the best epoch", "whole run, checkpoints and all", "validation accuracy"]


def repeat_corpus(corpus: Corpus, reviews: int) -> Corpus:
    "Repeat the training reviews of a corpus until there are so many; the other parts occur once."
    times = -(-reviews // len(corpus.rows("train")))
    split = np.tile(corpus.split, times)
    copies = split[len(corpus.split):]
    copies[copies != 0] = -1 # drop validation and test from the copies
    split[np.flatnonzero(split == 0)[reviews:]] = -1
    sizes = np.tile(np.diff(corpus.offsets), times)
    return replace(
        corpus,
        ids=np.tile(corpus.ids, times),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        words=np.tile(corpus.words, times),
        labels=np.tile(corpus.labels, times),
        split=split,
    )


def measure_bandwidth(device: torch.device, size: int = 1 << 30, copies: int = 10) -> float:
    "Bytes per second that a large copy on the device reads and writes."
    source, target = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(3): # only the last round counts; the others warm the device up
        wait()
        start = time.perf_counter()
        for _ in range(copies): target.copy_(source)
        wait()
        seconds = time.perf_counter() - start
    return 2 * copies * size / seconds


def bytes_per_epoch(corpus: Corpus, batch_size: int) -> float:
    "Bytes that an epoch has to move at the least."
    rows = corpus.rows("train")
    n_grams = int(np.diff(corpus.offsets)[rows].sum())
    steps = -(-len(rows) // batch_size)
    per_ngram = 4 * 3  # its id, its weight and its gradient
    per_bucket = 4 * 5 # read gradient, weight and sum of squares; write weight and sum of squares
    return n_grams * per_ngram + steps * 2**corpus.bits * per_bucket


class Round(NamedTuple):
    "What one training run measured."
    epoch: float    # median seconds per epoch
    whole: float    # seconds of the whole run
    to_best: float  # seconds until the epoch with the lowest validation loss is complete
    accuracy: float # of that epoch, on validation


def train_once(corpus: Corpus, recipe: dict, accelerator: str) -> Round:
    "Train by a recipe and measure it."
    seed_everything(0)
    model = TextSentiment(optimizer=recipe["optimizer"], lr=recipe["lr"])
    start = time.perf_counter()
    data = BagData(corpus, recipe["batch_size"])
    _, history = fit(model, data, recipe["max_epochs"], accelerator=accelerator)
    whole = time.perf_counter() - start
    best = min(range(len(history)), key=lambda i: history[i]["val_loss"])
    seconds = [row["seconds"] for row in history]
    return Round(np.median(seconds), whole, sum(seconds[:best + 1]), history[best]["val_accuracy"])


def main(data: str, accelerator: str, reviews: int, rounds: int):
    recipe = read_recipe("gpu")
    device = torch.device("cuda" if accelerator == "gpu" else "cpu")
    with tempfile.TemporaryDirectory() as cache:
        prepared = prepare(data, settings=get_settings(cache=cache), progress=False)
        corpus = repeat_corpus(pack(prepared, progress=False), reviews)
    ceiling = bytes_per_epoch(corpus, recipe["batch_size"]) / measure_bandwidth(device)
    results = [train_once(corpus, recipe, accelerator) for _ in range(rounds)]
    medians = Round(*np.median(results, axis=0))
    name = torch.cuda.get_device_name() if device.type == "cuda" else machine()
    print(f"\n{name}; {reviews:,} reviews, {rounds} rounds, medians\n")
    print(table(HEADER, [[
        f"{medians.epoch:.2f}",
        f"{ceiling:.3f}",
        f"{medians.to_best:.2f}",
        f"{medians.whole:.2f}",
        f"{medians.accuracy:.2%}",
    ]]))


if __name__ == "__main__":
    device_option = (str, "gpu", "gpu, or cpu to try the script")
    reviews_option = (int, 560_000, "reviews to train on")
    options = arguments(__doc__, device=device_option, reviews=reviews_option)
    main(options.data, options.device, options.reviews, options.rounds)
