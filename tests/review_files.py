"Reviews written in every format that can be read."
import gzip
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq

REVIEWS = [(1 + i % 5, f'The soup number {i} was "hot".\nSecond line, with a comma.') for i in range(300)]
"Stars and texts that need quoting."


def as_csv(reviews, delimiter: str = ",") -> str:
    "A CSV file with a header."
    rows = []
    for stars, text in reviews:
        doubled = text.replace('"', '""')
        rows.append(f'"{doubled}"{delimiter}{stars}\n')
    return delimiter.join(("review", "stars")) + "\n" + "".join(rows)


def as_json_lines(reviews) -> str:
    "Yelp's own layout: one object a line, with keys that nobody needs."
    rows = [
        {"review_id": str(i), "stars": float(stars), "text": text, "useful": 0}
        for i, (stars, text) in enumerate(reviews)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet(columns: dict) -> bytes:
    "A Parquet file with these columns."
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def as_parquet(reviews) -> bytes:
    "A Parquet file with other column names than the CSV file."
    return parquet({"body": [text for _, text in reviews], "rating": [stars for stars, _ in reviews]})


def _polarity_csv(reviews) -> str:
    "The Yelp Polarity layout: class 1 or 2, quotes doubled, a line break as a backslash and an n."
    def escaped(text: str) -> str: return text.replace('"', '""').replace("\n", "\\n")
    return "".join(f'"{1 + (stars >= 3)}","{escaped(text)}"\n' for stars, text in reviews)


def polarity_archive(reviews=REVIEWS) -> bytes:
    "An archive like Yelp Polarity's, with a train file of 240 reviews and a test file of the rest."
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, part in {"train.csv": reviews[:240], "readme.txt": [], "test.csv": reviews[240:]}.items():
            content = _polarity_csv(part).encode()
            member = tarfile.TarInfo(f"yelp_review_polarity_csv/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def first_half(content: bytes) -> bytes:
    "What a broken download leaves."
    return content[:len(content) // 2]


FORMATS = {
    "a.csv": as_csv(REVIEWS),
    "a.tsv": as_csv(REVIEWS, "\t"),
    "a.csv.gz": gzip.compress(as_csv(REVIEWS).encode()),
    "review.json": as_json_lines(REVIEWS),
    "a.jsonl.zst": pa.compress(as_json_lines(REVIEWS).encode(), "zstd", asbytes=True),
    "a.parquet": as_parquet(REVIEWS),
}
"The same reviews in every format."


def shown_fingerprint(output: str) -> str:
    "The fingerprint in the last line of what `yelp-reviews data` prints."
    return output.strip().splitlines()[-1].split()[-1]
