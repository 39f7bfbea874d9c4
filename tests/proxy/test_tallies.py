"The tallies equal a recount of the rows, and the statistics follow from them."
import threading
from collections import Counter

import numpy as np

from yelp_reviews.proxy.tables import answers

from .conftest import TEXT, assert_tallies_equal_a_recount, read_rows, sample_texts


def answer_batch(client, count: int) -> list[dict]:
    "Store reviews and answer each, with 0.4 instead of 0.5 as the threshold; returns the predictions."
    stored = client.post("/predictions/batch", json={"texts": sample_texts(count)}).json()["predictions"]
    for prediction in stored:
        answer = {"is_positive_user_answered": prediction["probability"] > .4}
        assert client.patch(f"/predictions/{prediction['id']}", json=answer).status_code == 200
    return stored


def test_statistics_count_what_people_answered(stored, services):
    _, _, client = services(workers=2)
    created = client.post("/predictions", json={"text": TEXT, "is_positive_user_answered": True})
    client.patch(created.headers["location"], json={"is_positive_user_answered": False})
    batch = answer_batch(client, 300)
    agreed = sum((prediction["probability"] > .4) == (prediction["probability"] >= .5) for prediction in batch)
    correct = agreed + (not created.json()["is_positive"]["model_answered"])
    statistics = client.get("/statistics", params={"window": "hour"}).json()["statistics"]
    assert [statistics[name] for name in ("predictions", "answered", "correct")] == [301, 301, correct]
    low, high = statistics["correctness_interval"]
    assert low < statistics["correctness_rate"] < high
    assert sum(statistics["confusion"].values()) == 301
    assert_tallies_equal_a_recount(stored)


def test_erased_and_pruned_predictions_leave_the_tallies_and_take_their_answers(stored, services):
    _, _, client = services(workers=2)
    answer_batch(client, 30)
    created = client.post("/predictions", json={"text": TEXT, "is_positive_user_answered": True})
    place = created.headers["location"]
    assert_tallies_equal_a_recount(stored)
    assert client.delete(place).status_code == 204
    assert client.get(place).status_code == 404
    assert stored.run("db", "prune", "--older-than", "1h") == "0 predictions deleted\n"
    assert_tallies_equal_a_recount(stored)
    assert len(read_rows(stored, answers)) == len(read_rows(stored)) == 30


def test_concurrent_changes_of_the_same_predictions_lose_no_count_and_never_deadlock(stored, services):
    _, _, client = services(workers=2)
    batch = client.post("/predictions/batch", json={"texts": [TEXT] * 20}).json()["predictions"]
    statuses = Counter()

    def change_one(choose: np.random.Generator) -> int:
        "Status of one random request: a new prediction, an erasure or an answer."
        place = f"/predictions/{batch[choose.integers(20)]['id']}"
        kind = choose.integers(8)
        if kind == 0:
            key = {"Idempotency-Key": str(choose.integers(30))}
            body = {"text": TEXT, "is_positive_user_answered": True}
            return client.post("/predictions", json=body, headers=key).status_code
        if kind == 1:
            return client.delete(place).status_code
        answer = [True, False, None][choose.integers(3)]
        return client.patch(place, json={"is_positive_user_answered": answer}).status_code

    def change(seed: int):
        choose = np.random.default_rng(seed)
        for _ in range(40):
            statuses[change_one(choose)] += 1

    threads = [threading.Thread(target=change, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert set(statuses) <= {200, 201, 204, 404} and sum(statuses.values()) == 320, statuses
    assert_tallies_equal_a_recount(stored)
