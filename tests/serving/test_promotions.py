"Promotions and rollbacks: alias, history, server and MLflow's own pages agree, whoever moves the alias."
import subprocess
import sys

import pytest
from conftest import until

from yelp_reviews.registry.flavour import ARTIFACT
from yelp_reviews.registry.history import promotion_history
from yelp_reviews.registry.promotion import rollback, version_in_service
from yelp_reviews.registry.versions import registry_client

from .conftest import constant_scorer, read_page, served_version

MOVE = """
import sys
from yelp_reviews.core.settings import get_settings
from yelp_reviews.registry.promotion import move_alias
move_alias(get_settings(), sys.argv[1], sys.argv[2], "promotion")
"""


def test_promotions_and_rollbacks_are_followed_and_recorded(registry, serve):
    versions = [registry.add(constant_scorer(score)) for score in (1., 2., 3.)]
    registry.promote(versions[0])
    server = serve("--follow", "production", YELP_FOLLOW_SECONDS="0.2")

    def assert_in_service(version: str):
        until(lambda: served_version(server) == version, 10)
        assert version_in_service(registry.settings) == version
        assert promotion_history(registry.settings)[0]["version"] == version

    for version in versions[1:]:
        registry.promote(version)
        assert_in_service(version)
    for version in versions[1::-1]:
        rollback(registry.settings)
        assert_in_service(version)
    actions = [move["action"] for move in promotion_history(registry.settings)]
    assert actions == ["rollback", "rollback", "promotion", "promotion", "promotion"]


def test_a_move_in_mlflow_is_noticed_and_recorded_with_the_next_promotion(registry, serve):
    first, second = (registry.add(constant_scorer(score)) for score in (1., 2.))
    registry.promote(first)
    server = serve("--follow", "production", YELP_FOLLOW_SECONDS="0.2")
    registry_client(registry.settings).set_registered_model_alias("yelp-model", "production", second)
    until(lambda: served_version(server) == second, 10)
    assert promotion_history(registry.settings)[0]["action"] == "outside"
    registry.promote(first)
    assert [move["action"] for move in promotion_history(registry.settings)] == ["promotion", "outside", "promotion"]
    assert rollback(registry.settings) == (second, first)


@pytest.mark.slow
def test_of_two_promotions_at_once_one_is_told_that_it_was_too_late(registry):
    first, *others = (registry.add(constant_scorer(score)) for score in (1., 2., 3.))
    registry.promote(first)
    env = registry.project.env | {"YELP_HOME": str(registry.settings.home), "MLFLOW_TRACKING_URI": ""}
    for _ in range(3):
        before = version_in_service(registry.settings)
        moves = len(promotion_history(registry.settings))
        processes = [
            subprocess.Popen([sys.executable, "-c", MOVE, version, before], env=env, stderr=subprocess.PIPE, text=True)
            for version in others
        ]
        errors = [process.communicate(timeout=120)[1] for process in processes]
        assert sorted(process.returncode for process in processes) == [0, 1], errors
        assert any("was put into service in place of" in error for error in errors), errors
        assert len(promotion_history(registry.settings)) == moves + 1
        registry.promote(first)


def test_a_version_that_was_changed_in_the_store_is_not_served(registry, serve):
    first = registry.add_production(constant_scorer(1.))
    server = serve("--follow", "production", YELP_FOLLOW_SECONDS="0.2")
    known = {path: path.read_bytes() for path in registry.settings.home.rglob(ARTIFACT)}
    second = registry.add(constant_scorer(2.))
    stored, = (path for path in registry.settings.home.rglob(ARTIFACT) if path not in known)
    stored.write_bytes(next(iter(known.values())))
    registry.promote(second)
    until(lambda: "yelp_model_swap_failures_total 0.0" not in read_page(server, "/metrics"), 15)
    assert served_version(server) == first
    assert any("was changed after its registration" in line for line in server.lines)
