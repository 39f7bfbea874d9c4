"Sources and their errors, through the command line."
import gzip, io, json, tarfile
import pyarrow as pa, pyarrow.parquet as pq, pytest

ROWS = [(1 + i % 5, f'The soup number {i} was "hot".\nSecond line, with a comma.') for i in range(300)]

def polarity_csv(rows) -> str:
    "The public archive's layout: class 1 or 2, quotes doubled, new lines as two characters."
    return "".join('"{}","{}"\n'.format(1 + (stars >= 3), text.replace('"', '""').replace("\n", "\\n")) for stars, text in rows)

def polarity_archive(rows=ROWS) -> bytes:
    "An archive with a train and a test file."
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, part in {"train.csv": rows[:240], "readme.txt": [], "test.csv": rows[240:]}.items():
            content = polarity_csv(part).encode()
            member = tarfile.TarInfo(f"yelp_review_polarity_csv/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()

def plain(rows, delimiter=",") -> str:
    "A CSV file with a header."
    return delimiter.join(("review", "stars")) + "\n" + "".join('"{1}"{2}{0}\n'.format(s, t.replace('"', '""'), delimiter) for s, t in rows)

def parquet(rows) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"body": [t for _, t in rows], "rating": [s for s, _ in rows]}), out)
    return out.getvalue()

def half(content:bytes) -> bytes:
    "As a download that broke off."
    return content[:len(content) // 2]

jsonl = "".join(json.dumps({"review_id": str(i), "stars": float(s), "text": t, "useful": 0}) + "\n" for i, (s, t) in enumerate(ROWS))

def fingerprint(printed:str) -> str: return printed.strip().splitlines()[-1].split()[-1]

FORMATS = {"a.csv": plain(ROWS), "a.tsv": plain(ROWS, "\t"), "a.csv.gz": gzip.compress(plain(ROWS).encode()), "review.json": jsonl,
           "a.jsonl.zst": pa.compress(jsonl.encode(), "zstd", asbytes=True), "a.parquet": parquet(ROWS)}

def test_every_format_says_the_same(project):
    found = set()
    for name, content in FORMATS.items():
        project.write(name, content)
        found.add(fingerprint(project.run("data", name)))
    assert len(found) == 1

def test_polarity_archive_from_everywhere(project):
    "A path, a file: address and a folder give the same reviews; escapes are undone; the official test part stays."
    project.write("yelp.tgz", polarity_archive())
    printed = project.run("data", "yelp.tgz")
    assert fingerprint(printed) == fingerprint(project.run("data", (project.folder / "yelp.tgz").as_uri()))
    with tarfile.open(project.folder / "yelp.tgz") as tar: tar.extractall(project.folder, filter="data")
    assert fingerprint(printed) == fingerprint(project.run("data", "yelp_review_polarity_csv"))
    assert "rows in test                60" in printed

@pytest.mark.parametrize("name, content, says", [
    ("empty.csv", "", "empty.csv, row 1: the file is empty; give a file with at least one review"),
    ("header.csv", "text,stars\n", "there are no reviews"),
    ("columns.csv", "a,b\n1,2\n", "columns.csv, row 1: no text column among a, b; name it with --column text=NAME"),
    ("range.csv", "text,stars\nGood,4\nBad,0\n", "range.csv, row 2: stars is 0, and stars run from 1 to 5; mend or remove the row"),
    ("label.csv", "text,label\nGood,1\nBad,maybe\n", "label.csv, row 2: label is 'maybe', not one of 0"),
    ("word.csv", "text,stars\nGood,four\n", "word.csv, row 1: stars is 'four', not a number"),
    ("latin.csv", b"text,stars\nGood,4\nCaf\xe9,4\n", "latin.csv, line 3: not UTF-8 (byte 0xe9); save the file as UTF-8"),
    ("quote.csv", 'text,stars\n"Good,4\nBad,1\n', "quote.csv, row 1: 1 columns where 2 are expected; mend the row"),
    ("short.tgz", half(polarity_archive()), "the file breaks off or is damaged from here on"),
    ("short.csv.gz", half(gzip.compress(plain(ROWS).encode())), "the file breaks off or is damaged from here on"),
    ("not.parquet", b"PAR1 and then nothing", "the file breaks off or is damaged from here on"),
    ("lines.jsonl", '{"text": "Good", "stars": 4}\n{"text": \n', "lines.jsonl, line 2: not a JSON object; mend or remove the line"),
    ("array.json", '[{"text": "Good", "stars": 4}]', "array.json, row 1: not JSON Lines; write one JSON object a line"),
    ("book.xlsx", "PK", "book.xlsx: unknown format '.xlsx'; use one of .csv"),
])
def test_bad_files_get_one_sentence(project, name, content, says):
    project.write(name, content)
    said = project.run("data", name, status=2)
    assert says in said and said.startswith("yelp-reviews: ") and said.count("\n") == 1, said
    cached = project.folder / "cache/reviews"
    assert not cached.exists() or not list(cached.iterdir())

def test_unreachable_address(project):
    said = project.run("data", "http://127.0.0.1:9/reviews.csv", status=2)
    assert "Could not download the data. http://127.0.0.1:9/reviews.csv:" in said

def test_auto_falls_back_to_the_sample_with_a_notice(project):
    "Where nothing can be downloaded: the proxy setting points to a port where nothing listens."
    said = project.run("data", env={"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"})
    assert "Yelp Polarity could not be downloaded, so the data are the project's own synthetic sample." in said
    assert "sample (synthetic: made by this project)" in said

def test_too_few_reviews_to_train_on(project):
    project.write("few.csv", "text,stars\nGood,5\n")
    said = project.run("train", "--data", "few.csv", status=2)
    assert "give more reviews" in said or "give reviews of both classes" in said
