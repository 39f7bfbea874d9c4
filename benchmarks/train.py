"""From a CSV file to trained weights, against fastText and scikit-learn: seconds, and error on reviews kept apart.

    python benchmarks/train.py --data FOLDER

fastText's clock starts at a file that is tokenised already, ours at the CSV file and an empty cache. All train on the same reviews, those of our train part.
"""
import contextlib, csv, io, tempfile
from pathlib import Path
import fasttext, numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC
from yelp_reviews.core.settings import get_settings
from yelp_reviews.data.preparation import prepare
from yelp_reviews.core.statistics import wilson_interval
from yelp_reviews.model.batches import BagData
from yelp_reviews.model.text_sentiment import TextSentiment, collapse
from yelp_reviews.scorer.prediction import predict
from yelp_reviews.text.corpus import pack
from yelp_reviews.text.tokens import tokenize
from yelp_reviews.training.trainer import fit, seed_everything
from common import arguments, interleave, machine, table


def ours(csv_file: Path, max_epochs: int = 2):
    "The default recipe, through Lightning with its callbacks and checkpoints."
    with tempfile.TemporaryDirectory() as cache, contextlib.redirect_stdout(io.StringIO()):
        corpus = pack(prepare(str(csv_file), test=0., settings=get_settings(cache=cache), progress=False), progress=False)
        seed_everything(0)
        return fit(TextSentiment(), BagData(corpus), max_epochs)[0], corpus.n_grams, corpus.bits


def fasttexts(file: Path, n_grams: int):
    "fastText as its documentation would have it for reviews."
    return fasttext.train_supervised(str(file), wordNgrams=n_grams, dim=10, epoch=5, lr=.25, thread=2, verbose=0)


def write_tokens(reviews, part: str, folder: Path) -> Path:
    "One part as fastText wants it."
    rows, path = reviews.part(part), folder / f"{part}.txt"
    path.write_text("".join(f"__label__{label} {' '.join(tokenize(text))}\n" for text, label in zip(rows["text"].to_pylist(), rows["label"].to_pylist())))
    return path


def main(data: str, rounds: int, sklearn: int):
    with tempfile.TemporaryDirectory() as folder:
        reviews = prepare(data, settings=get_settings(cache=folder), progress=False)
        files = {part: write_tokens(reviews, part, Path(folder)) for part in ("train", "validation", "test")}
        train = reviews.part("train")
        svm = lambda: make_pipeline(TfidfVectorizer(ngram_range=(1, 3), sublinear_tf=True, min_df=2), LinearSVC()).fit(train["text"].to_pylist(), train["label"].to_numpy())
        csv_file, polarity = Path(folder) / "train.csv", {0: 1, 1: 2}
        with open(csv_file, "w", newline="") as f: # what the others train on, and the reviews that ours keeps for validation
            for rows in (train, reviews.part("validation")): csv.writer(f, quoting=csv.QUOTE_ALL).writerows((polarity[l], t) for l, t in zip(rows["label"].to_pylist(), rows["text"].to_pylist()))
        ours(csv_file, max_epochs=1) # compiles or loads the loops
        ways = {"yelp-reviews": lambda: ours(csv_file), "fastText, bigrams": lambda: fasttexts(files["train"], 2), "fastText, trigrams": lambda: fasttexts(files["train"], 3)}
        found = interleave(ways, rounds) | (interleave({"scikit-learn, TF-IDF and linear SVM": svm}, sklearn) if sklearn else {})

        def error(name: str, part: str) -> float:
            "Share of wrong verdicts of a way's last model on one part."
            model, kept = found[name][1], reviews.part(part)
            texts, labels = kept["text"].to_pylist(), kept["label"].to_numpy()
            if name.startswith("fastText"): return 1 - model.test(str(files[part]))[1]
            if name.startswith("scikit"): return float((model.predict(texts) != labels).mean())
            corpus = pack(reviews, model[1], model[2], progress=False)
            return float(((predict(collapse(model[0], corpus), texts) >= .5) != labels).mean())

        errors = {name: [error(name, part) for part in ("validation", "test")] for name in found}
        size, best = len(reviews.part("test")), [min(e[i] for n, e in errors.items() if n.startswith("fastText")) for i in (0, 1)]
        peer = found["fastText, bigrams"][0]
        print(f"{machine()}; {rounds} interleaved rounds, medians; {len(train):,} reviews to train on, {size:,} to test\n")
        rows = [[name, f"{s:.2f}", f"{s / peer:.2f}", f"{v:.2%} ({v / best[0]:.2f})", f"{t:.2%} ({t / best[1]:.2f})",
                 "{:.2%} to {:.2%}".format(*wilson_interval(round((1 - t) * size), size))] for name, (s, _) in found.items() for v, t in [errors[name]]]
        print(table(["way", "seconds", "against fastText's bigrams", "validation error (against fastText's best)", "test error (the same)", "test accuracy, 95 %"], rows))


if __name__ == "__main__":
    options = arguments(__doc__, sklearn=(int, 1, "rounds of scikit-learn, which takes a minute each; 0 for none"))
    main(options.data, options.rounds, options.sklearn)
