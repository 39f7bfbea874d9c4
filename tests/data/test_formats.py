"Every format that is read gives the same reviews."
import json
import re
import tarfile

from review_files import FORMATS, REVIEWS, as_csv, polarity_archive, shown_fingerprint


def test_every_format_gives_the_same_fingerprint(project):
    fingerprints = set()
    for name, content in FORMATS.items():
        fingerprints.add(shown_fingerprint(project.run("data", project.write(name, content))))
    assert len(fingerprints) == 1


def test_polarity_archive_as_path_url_and_folder(project):
    "A path, a file: URL and a folder give the same reviews; escapes are undone; the official test split stays."
    project.write("yelp.tgz", polarity_archive())
    archive = project.folder / "yelp.tgz"
    output = project.run("data", "yelp.tgz")
    assert "rows in test                60" in output
    assert shown_fingerprint(output) == shown_fingerprint(project.run("data", archive.as_uri()))
    with tarfile.open(archive) as tar: tar.extractall(project.folder, filter="data")
    assert shown_fingerprint(output) == shown_fingerprint(project.run("data", "yelp_review_polarity_csv"))


def test_keys_that_the_first_json_object_lacks_are_read(project):
    "A split and a group that the first object lacks are still respected."
    rows = [{"text": f"Soup number {i}.", "stars": 1 + i % 5} for i in range(400)]
    for i, row in enumerate(rows[1:], 1):
        row |= {"split": "test" if i % 4 == 0 else "train", "business_id": f"b{i % 20}"}
    project.write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert re.search(r"rows in test +(99|100)\n", project.run("data", "a.jsonl"))


def test_order_of_rows_does_not_matter_even_with_conflicting_copies(project):
    project.write("a.csv", "text,stars\nsame,5\nsame,1\nx,5\ny,1\n")
    project.write("b.csv", "text,stars\ny,1\nx,5\nsame,1\nsame,5\n")
    assert shown_fingerprint(project.run("data", "a.csv")) == shown_fingerprint(project.run("data", "b.csv"))


def test_unusual_but_valid_csv_is_read(project):
    "A byte order mark, a quoted header, spaces around a number, a header of two lines."
    plain = as_csv(REVIEWS)
    expected = shown_fingerprint(project.run("data", project.write("a.csv", plain)))
    with_byte_order_mark = b"\xef\xbb\xbf" + plain.encode()
    with_quoted_header = plain.replace("review,stars", 'review,"stars"').encode()
    for content in (with_byte_order_mark, with_quoted_header):
        assert shown_fingerprint(project.run("data", project.write("b.csv", content))) == expected
    with_spaces = project.write("c.csv", "text,stars\nGood, 4 \nBad,1\n")
    assert "rows read                   2" in project.run("data", with_spaces)
    two_line_header = project.write("d.csv", '"te\nxt",text,stars\na,Good,4\n')
    assert "rows read                   1" in project.run("data", two_line_header)
