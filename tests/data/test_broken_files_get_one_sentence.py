"A file that cannot be read gives one sentence with the place and the remedy, and leaves nothing in the cache."
import gzip

import pytest
from review_files import REVIEWS, as_csv, first_half, parquet, polarity_archive

BREAKS_OFF = "the file breaks off or is damaged from here on"

BROKEN_FILES = [
    ("empty.csv", "", "empty.csv, row 1: the file is empty; give a file with at least one review"),
    ("mark.csv", b"\xef\xbb\xbf", "the file is empty"),
    ("header.csv", "text,stars\n", "there are no reviews"),
    ("columns.csv", "a,b\n1,2\n", "columns.csv, row 1: no text column among a, b; name it with --column text=NAME"),
    ("twice.csv", "text,text,stars\na,b,4\n", "two columns are named 'text'; rename one"),
    ("range.csv", "text,stars\nGood,4\nBad,0\n",
     "range.csv, row 2: stars is 0, and stars run from 1 to 5; mend or remove the row"),
    ("label.csv", "text,label\nGood,1\nBad,maybe\n", "label.csv, row 2: label is 'maybe', not one of 0"),
    ("word.csv", "text,stars\nGood,four\n", "word.csv, row 1: stars is 'four', not a number"),
    ("split.csv", "text,stars,split\na,4,holdout\n", "row 1: split is 'holdout', not one of train"),
    ("latin.csv", b"text,stars\nGood,4\nCaf\xe9,4\n",
     "latin.csv, line 3: not UTF-8 (byte 0xe9); save the file as UTF-8"),
    ("utf16.csv", "text,stars\nGood,4\n".encode("utf-16"), "the text is UTF-16; save the file as UTF-8"),
    ("quote.csv", 'text,stars\n"Good,4\nBad,1\n', "quote.csv, row 1: 1 columns where 2 are expected; mend the row"),
    ("long.csv", "text,stars\n" + "a" * 17_000_000 + ",4\nb,4\n", "row"),
    ("short.tgz", first_half(polarity_archive()), BREAKS_OFF),
    ("short.csv.gz", first_half(gzip.compress(as_csv(REVIEWS).encode())), BREAKS_OFF),
    ("not.parquet", b"PAR1 and then nothing", BREAKS_OFF),
    ("list.parquet", parquet({"text": ["a"], "stars": [[1]]}), "stars is [1], not a number"),
    ("lines.jsonl", '{"text": "Good", "stars": 4}\n{"text": \n',
     "lines.jsonl, line 2: not a JSON object; mend or remove the line"),
    ("deep.jsonl", '{"text": "a", "stars": 4}\n' + "[" * 100_000 + "\n", "line 2: not a JSON object"),
    ("half.jsonl", '{"text": "a", "stars": 4}\n{"text": "\\ud800", "stars": 4}\n', "line 2: half of a surrogate pair"),
    ("array.json", '[{"text": "Good", "stars": 4}]',
     "array.json, row 1: not JSON Lines; write one JSON object a line"),
    ("book.xlsx", "PK", "book.xlsx: unknown format '.xlsx'; use one of .csv"),
]


@pytest.mark.parametrize("name, content, message", BROKEN_FILES, ids=[name for name, _, _ in BROKEN_FILES])
def test_broken_file(project, name, content, message):
    project.write(name, content)
    output = project.run("data", name, status=2)
    assert message in output, output
    assert output.startswith("yelp-reviews: ") and output.count("\n") == 1, output
    cached = project.folder / "cache/reviews"
    assert not cached.exists() or not list(cached.iterdir())
