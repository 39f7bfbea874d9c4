"""From a CSV file to trained weights, against fastText and scikit-learn: seconds, and error on held-out reviews.

    python benchmarks/train.py --data FOLDER

All train on the same reviews. fastText starts from a file that is tokenised already, this project from the CSV file
and an empty cache.
"""
import contextlib
import csv
import io
import tempfile
from pathlib import Path
from typing import NamedTuple

import fasttext
import numpy as np
from common import arguments, interleave, machine, table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from yelp_reviews.core.conventions import THRESHOLD
from yelp_reviews.core.settings import get_settings
from yelp_reviews.core.statistics import wilson_interval
from yelp_reviews.data import SplitShares
from yelp_reviews.data.preparation import Reviews, prepare
from yelp_reviews.model.batches import BagData
from yelp_reviews.model.text_sentiment import TextSentiment, collapse
from yelp_reviews.scorer.prediction import predict
from yelp_reviews.text.corpus import pack
from yelp_reviews.text.tokens import tokenize
from yelp_reviews.training.trainer import fit, seed_everything

PARTS = ("validation", "test")
OURS, SVM = "yelp-reviews", "scikit-learn, TF-IDF and linear SVM"
HEADER = [
    "way",
    "seconds",
    "against fastText's bigrams",
    "validation error (against fastText's best)",
    "test error (the same)",
    "test accuracy, 95 %",
]


class Part(NamedTuple):
    "Texts and labels of one split."
    texts: list[str]
    labels: np.ndarray


def read_part(reviews: Reviews, part: str) -> Part:
    rows = reviews.part(part)
    return Part(rows["text"].to_pylist(), rows["label"].to_numpy())


class Trained(NamedTuple):
    "A model of this project, and how its reviews were packed."
    model: TextSentiment
    n_grams: int
    bits: int


def train_ours(csv_file: Path, max_epochs: int = 2) -> Trained:
    "Train the default recipe by Lightning, with callbacks and checkpoints."
    with tempfile.TemporaryDirectory() as cache, contextlib.redirect_stdout(io.StringIO()):
        settings = get_settings(cache=cache)
        reviews = prepare(str(csv_file), shares=SplitShares(test=0.), settings=settings, progress=False)
        corpus = pack(reviews, progress=False)
        seed_everything(0)
        model, _ = fit(TextSentiment(), BagData(corpus), max_epochs)
        return Trained(model, corpus.n_grams, corpus.bits)


def train_fasttext(file: Path, n_grams: int):
    "Train fastText with the options that its documentation recommends for reviews."
    options = {"dim": 10, "epoch": 5, "lr": .25, "thread": 2, "verbose": 0}
    return fasttext.train_supervised(str(file), wordNgrams=n_grams, **options)


def train_svm(train: Part):
    "Train a linear SVM on TF-IDF of n-grams."
    vectorizer = TfidfVectorizer(ngram_range=(1, 3), sublinear_tf=True, min_df=2)
    return make_pipeline(vectorizer, LinearSVC()).fit(train.texts, train.labels)


def write_fasttext(part: Part, path: Path) -> Path:
    "Write one split in fastText's format."
    lines = (f"__label__{label} {' '.join(tokenize(text))}\n" for text, label in zip(*part))
    path.write_text("".join(lines))
    return path


def write_csv(parts: list[Part], path: Path) -> Path:
    "Write splits in the layout of Yelp Polarity, with the labels 1 and 2."
    with open(path, "w", newline="") as f:
        writer = csv.writer(f, quoting=csv.QUOTE_ALL)
        for part in parts: writer.writerows((int(label) + 1, text) for text, label in zip(*part))
    return path


def our_error(trained: Trained, reviews: Reviews, part: Part) -> float:
    "Share of wrong classifications of this project's model."
    corpus = pack(reviews, trained.n_grams, trained.bits, progress=False)
    positive = predict(collapse(trained.model, corpus), part.texts) >= THRESHOLD
    return float((positive != part.labels).mean())


def errors_of(name: str, model, reviews: Reviews, files: dict[str, Path]) -> list[float]:
    "Share of wrong classifications of a model on validation and test."
    if name.startswith("fastText"): return [1 - model.test(str(files[part]))[1] for part in PARTS]
    parts = [read_part(reviews, part) for part in PARTS]
    if name == OURS: return [our_error(model, reviews, part) for part in parts]
    return [float((model.predict(part.texts) != part.labels).mean()) for part in parts]


def report(seconds: dict[str, float], errors: dict[str, list[float]], test_size: int) -> str:
    "The table of the results."
    peer = seconds["fastText, bigrams"]
    fasttext_errors = [errors[name] for name in errors if name.startswith("fastText")]
    best_validation, best_test = map(min, zip(*fasttext_errors))
    rows = []
    for name, (validation, test) in errors.items():
        low, high = wilson_interval(round((1 - test) * test_size), test_size)
        rows.append([
            name,
            f"{seconds[name]:.2f}",
            f"{seconds[name] / peer:.2f}",
            f"{validation:.2%} ({validation / best_validation:.2f})",
            f"{test:.2%} ({test / best_test:.2f})",
            f"{low:.2%} to {high:.2%}",
        ])
    return table(HEADER, rows)


def main(data: str, rounds: int, svm_rounds: int):
    with tempfile.TemporaryDirectory() as cache:
        folder = Path(cache)
        reviews = prepare(data, settings=get_settings(cache=folder), progress=False)
        train, validation = read_part(reviews, "train"), read_part(reviews, "validation")
        files = {part: write_fasttext(read_part(reviews, part), folder / f"{part}.txt") for part in ("train", *PARTS)}
        csv_file = write_csv([train, validation], folder / "train.csv") # this project splits off its validation itself
        train_ours(csv_file, max_epochs=1) # compile the loops, or load them from the cache
        results = interleave({
            OURS: lambda: train_ours(csv_file),
            "fastText, bigrams": lambda: train_fasttext(files["train"], 2),
            "fastText, trigrams": lambda: train_fasttext(files["train"], 3),
        }, rounds)
        if svm_rounds: results |= interleave({SVM: lambda: train_svm(train)}, svm_rounds)
        seconds = {name: median for name, (median, _) in results.items()}
        errors = {name: errors_of(name, model, reviews, files) for name, (_, model) in results.items()}
        sizes = {part: len(reviews.part(part)) for part in ("train", "test")}
        print(f"{machine()}; {rounds} interleaved rounds, medians; "
              f"{sizes['train']:,} reviews to train on, {sizes['test']:,} to test\n")
        print(report(seconds, errors, sizes["test"]))


if __name__ == "__main__":
    svm_option = (int, 1, "rounds of scikit-learn, which take a minute each; 0 leaves it out")
    options = arguments(__doc__, sklearn=svm_option)
    main(options.data, options.rounds, options.sklearn)
