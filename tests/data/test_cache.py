"Prepared reviews in the cache: opened again by their key, and named if they are damaged."
from review_files import REVIEWS, as_csv, shown_fingerprint

from yelp_reviews.core.settings import get_settings
from yelp_reviews.data import open_prepared


def test_reviews_that_the_command_line_prepared_open_by_their_key(project):
    "Without the source, which is what the training notebooks rely on."
    source = project.folder / project.write("a.csv", as_csv(REVIEWS))
    output = project.run("data", "a.csv")
    source.unlink()
    folder, = (project.folder / "cache/reviews").iterdir()
    reviews = open_prepared(folder.name, get_settings(cache=project.folder / "cache"))
    assert reviews.key == folder.name
    assert reviews.report.fingerprint.startswith(shown_fingerprint(output))
    assert sorted(reviews.table["text"].to_pylist()) == sorted(text for _, text in REVIEWS)


def test_damaged_cache_is_named(project):
    project.run("data", project.write("a.csv", as_csv(REVIEWS)))
    folder, = (project.folder / "cache/reviews").iterdir()
    (folder / "reviews.arrow").write_bytes(b"ARROW1")
    output = project.run("data", "a.csv", status=2)
    assert f"The prepared reviews in {folder} are damaged" in output
