"Paths, URLs and names of sources, and what happens where they lead nowhere."
import os

import pytest

NO_NETWORK = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"} # nothing listens there


def test_unreachable_url_is_named(project):
    output = project.run("data", "http://127.0.0.1:9/reviews.csv", status=2)
    assert "Could not download the data. http://127.0.0.1:9/reviews.csv:" in output


def test_auto_falls_back_to_the_sample_with_a_notice(project):
    output = project.run("data", env=NO_NETWORK)
    assert "Yelp Polarity could not be downloaded, so the data are the project's own synthetic sample." in output
    assert "sample (synthetic: made by this project)" in output


def test_paths_that_are_not_files(project):
    (project.folder / "empty").mkdir()
    os.mkfifo(project.folder / "pipe.csv")
    assert "empty has no train.csv" in project.run("data", "empty", status=2)
    assert "pipe.csv is not a file" in project.run("data", "pipe.csv", status=2)


@pytest.mark.parametrize("url", ["http://[::1", "http://" + "a" * 70 + ".com/x.csv", "http://127.0.0.1:9/x%00.csv"])
def test_impossible_urls_get_one_sentence(project, url):
    assert project.run("data", url, status=2).startswith("yelp-reviews: ")
