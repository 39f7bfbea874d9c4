"""What the promotion gate misses, on models that are bad on purpose, and what it refuses wrongly, on good ones.

    python benchmarks/gate.py --data FOLDER

All models are registered and judged against the same version: the default recipe with seed 0. The bad ones have one
fault each. The good ones are the same recipe with other seeds; they should all pass.
"""
import argparse
import contextlib
import io
import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import DATA_HELP, machine, table

from yelp_reviews.core.conventions import LABEL_RULE, SPLITS
from yelp_reviews.core.settings import Settings, get_settings
from yelp_reviews.core.tracking import use_experiment
from yelp_reviews.data.preparation import Reviews, prepare
from yelp_reviews.data.splits import text_keys
from yelp_reviews.evaluation.gate import load_policy
from yelp_reviews.evaluation.metrics import fit_temperature
from yelp_reviews.evaluation.record import TestReviews, evaluate_model
from yelp_reviews.model.batches import BagData
from yelp_reviews.model.text_sentiment import TextSentiment, collapse
from yelp_reviews.registry.card import register_model
from yelp_reviews.registry.judgement import judge
from yelp_reviews.registry.versions import ModelRef, find_version, log_model
from yelp_reviews.scorer.prediction import Scorer, bag_logits
from yelp_reviews.text.corpus import Corpus, bags, pack
from yelp_reviews.text.tokens import ngram_ids, tokenize
from yelp_reviews.training.trainer import fit, seed_everything

TRAIN, VALIDATION, TEST = (SPLITS.index(part) for part in ("train", "validation", "test"))


def train(reviews: Reviews, seed: int = 0, change: Callable[[Corpus], Corpus] = lambda corpus: corpus) -> Scorer:
    "The default recipe on a corpus that may be changed before training."
    corpus = change(pack(reviews, progress=False))
    seed_everything(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        model, _ = fit(TextSentiment(), BagData(corpus, seed=seed), max_epochs=2)
    report = reviews.report
    scorer = collapse(
        model, corpus, source=report.source, synthetic=report.synthetic, fingerprint=report.fingerprint,
        label_rule=LABEL_RULE, recipe={"data": report.source, "seed": seed},
    )
    rows = corpus.rows("validation")
    scorer.temperature = fit_temperature(bag_logits(scorer, *bags(corpus, rows)), corpus.labels[rows])
    return scorer


def with_train_labels(corpus: Corpus, labels_of: Callable[[np.ndarray], np.ndarray]) -> Corpus:
    "A corpus with other labels of the training reviews."
    labels, rows = corpus.labels.copy(), corpus.rows("train")
    labels[rows] = labels_of(labels[rows])
    return replace(corpus, labels=labels)


def shuffle_labels(corpus: Corpus) -> Corpus:
    return with_train_labels(corpus, np.random.default_rng(0).permutation)


def flip_labels(corpus: Corpus) -> Corpus:
    random = np.random.default_rng(0)
    return with_train_labels(corpus, lambda labels: labels ^ (random.random(len(labels)) < .2))


def train_on_test(corpus: Corpus) -> Corpus:
    return replace(corpus, split=np.where(corpus.split == TEST, TRAIN, corpus.split))


def is_negation(token: str) -> bool: return token in ("not", "never", "n't", "t") or token.endswith("n't")


def forget_negation(scorer: Scorer, texts: list[str]) -> Scorer:
    "The model without the n-grams that contain a negation."
    scores = scorer.scores.copy()
    for text in texts:
        tokens = tokenize(text)
        for i in (i for i, token in enumerate(tokens) if is_negation(token)):
            around = tokens[max(0, i - scorer.n_grams + 1):i + scorer.n_grams]
            for length in range(1, scorer.n_grams + 1):
                starts = range(len(around) - length + 1)
                grams = [around[start:start + length] for start in starts]
                for gram in (gram for gram in grams if any(map(is_negation, gram))):
                    scores[ngram_ids(gram, length, scorer.bits)[-1]] = 0
    return replace(scorer, scores=scores)


def register(scorer: Scorer, reviews: Reviews, trained_on: tuple[str, ...], settings: Settings) -> ModelRef:
    "Register a model with its evaluation."
    tests = TestReviews.from_table(reviews.part("test"), reviews.report.source, reviews.report.fingerprint)
    keys = [text_keys(chunk) for part in trained_on for chunk in reviews.part(part)["text"].chunks]
    evaluation = evaluate_model(scorer, tests, np.concatenate(keys))
    with use_experiment(settings).start_run(): version = register_model(scorer, evaluation, settings)
    return ModelRef.from_version(find_version(version, settings))


def register_without_evaluation(scorer: Scorer, settings: Settings) -> ModelRef:
    with use_experiment(settings).start_run(): version = log_model(scorer, settings)
    return ModelRef.from_version(find_version(version, settings))


def bad_models(good: Scorer, reviews: Reviews, settings: Settings):
    "Name and version of each bad model, one after the other."
    own = ("train",)
    yield "shuffled labels", register(train(reviews, change=shuffle_labels), reviews, own, settings)
    yield "20 % of the labels flipped", register(train(reviews, change=flip_labels), reviews, own, settings)
    texts = reviews.part("train")["text"].to_pylist()
    yield "n-grams with negation removed", register(forget_negation(good, texts), reviews, own, settings)
    seen = train(reviews, change=train_on_test)
    yield "trained on its test reviews", register(seen, reviews, ("train", "test"), settings)
    yield "logits tripled", register(replace(good, temperature=1 / 3), reviews, own, settings)
    yield "scores that are NaN", register_without_evaluation(
        replace(good, scores=np.full_like(good.scores, np.nan)), settings)
    sample = prepare("sample", limit=20_000, settings=settings, progress=False)
    yield "trained on synthetic reviews", register(train(sample), sample, own, settings)


def main(data: str, seeds: int):
    print(machine())
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        settings = get_settings(home=Path(folder) / "home", cache=Path(folder) / "cache", tracking_uri="")
        reviews = prepare(data, settings=settings, progress=False)
        good = train(reviews)
        champion, policy = register(good, reviews, ("train",), settings), load_policy()
        first = judge(champion, None, policy, settings).result
        print(f"the first version: {first.summary}\n")
        rows = []
        for name, version in bad_models(good, reviews, settings):
            failed = judge(version, champion, policy, settings).result.failed
            rows.append([name, "refused" if failed else "MISSED", "; ".join(f"{c.name}: {c.details}" for c in failed)])
        print(table(["bad model", "gate", "checks that fail"], rows), "\n", flush=True)
        rows = []
        for seed in range(1, seeds + 1):
            version = register(train(reviews, seed), reviews, ("train",), settings)
            result = judge(version, champion, policy, settings).result
            accuracy = next(check.details for check in result.checks if check.name == "accuracy")
            verdict = "passed" if result.passed else "REFUSED"
            rows.append([seed, verdict, accuracy, "; ".join(check.name for check in result.failed)])
        print(table(["seed", "gate", "accuracy", "checks that fail"], rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--seeds", type=int, default=10, help="retrained good models")
    options = parser.parse_args()
    main(options.data, options.seeds)
