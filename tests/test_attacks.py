"What was found by attacking the command line and the server, kept from coming back."
import json, os
import pyarrow as pa, pyarrow.parquet as pq, pytest
from test_data import ROWS, fingerprint, plain

def test_json_lines_take_every_key_of_the_first_lines(project):
    "A split and a group that the first object lacks are still respected."
    rows = [{"text": f"Soup number {i}.", "stars": 1 + i % 5} | ({"split": "test" if i % 4 == 0 else "train", "business_id": f"b{i % 20}"} if i else {}) for i in range(400)]
    project.write("a.jsonl", "".join(json.dumps(r) + "\n" for r in rows))
    assert "rows in test                100" in project.run("data", "a.jsonl") or "rows in test                99" in project.run("data", "a.jsonl")

def test_order_of_rows_and_conflicting_copies(project):
    project.write("a.csv", "text,stars\nsame,5\nsame,1\nx,5\ny,1\n")
    project.write("b.csv", "text,stars\ny,1\nx,5\nsame,1\nsame,5\n")
    assert fingerprint(project.run("data", "a.csv")) == fingerprint(project.run("data", "b.csv"))

def parquet(columns:dict) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), out)
    return out.getvalue().to_pybytes()

@pytest.mark.parametrize("name, content, says", [
    ("bom.csv", b"\xef\xbb\xbf", "the file is empty"),
    ("utf16.csv", "text,stars\nGood,4\n".encode("utf-16"), "the text is UTF-16; save the file as UTF-8"),
    ("twice.csv", "text,text,stars\na,b,4\n", "two columns are named 'text'; rename one"),
    ("list.parquet", parquet({"text": ["a"], "stars": [[1]]}), "stars is [1], not a number"),
    ("long.csv", "text,stars\n" + "a" * 17_000_000 + ",4\nb,4\n", "row"),
    ("deep.jsonl", '{"text": "a", "stars": 4}\n' + "[" * 100_000 + "\n", "line 2: not a JSON object"),
    ("half.jsonl", '{"text": "a", "stars": 4}\n{"text": "\\ud800", "stars": 4}\n', "line 2: half of a surrogate pair"),
    ("split.csv", "text,stars,split\na,4,holdout\n", "row 1: split is 'holdout', not one of train"),
])
def test_odd_files_get_one_sentence(project, name, content, says):
    project.write(name, content)
    said = project.run("data", name, status=2)
    assert says in said and said.count("\n") == 1, said

def test_sound_oddities_are_read(project):
    "A byte order mark, other line ends, spaces round a number, a quoted header over two lines: all fine."
    want = fingerprint(project.run("data", project.write("a.csv", plain(ROWS))))
    for content in (b"\xef\xbb\xbf" + plain(ROWS).encode(), plain(ROWS).replace("review,stars", 'review,"stars"').encode()):
        assert fingerprint(project.run("data", project.write("b.csv", content))) == want
    assert "rows read                   2" in project.run("data", project.write("c.csv", "text,stars\nGood, 4 \nBad,1\n"))
    assert "rows read                   1" in project.run("data", project.write("d.csv", '"te\nxt",text,stars\na,Good,4\n'))

def test_sources_that_are_no_files(project):
    (project.folder / "empty").mkdir()
    os.mkfifo(project.folder / "pipe.csv")
    assert "empty has no train.csv" in project.run("data", "empty", status=2)
    assert "pipe.csv is not a file" in project.run("data", "pipe.csv", status=2)
    for address in ("http://[::1", "http://" + "a" * 70 + ".com/x.csv", "http://127.0.0.1:9/x%00.csv"):
        assert project.run("data", address, status=2).startswith("yelp-reviews: ")

@pytest.mark.parametrize("pairs, says", [
    (("limit", "-5"), "limit is -5; use 0 to"), (("max_epochs", "0"), "max_epochs is 0; use 1 to"), (("lr", "nan"), "lr is nan; use"),
    (("seed", "-1"), "seed is -1; use"), (("accelerator", "tpu"), "accelerator is 'tpu'; use one of auto"), (("patience", "-1"), "patience is -1"),
    (("bits", "2.7"), "bits is '2.7', but it takes a value of type int"), (("embed_dim", "0"), "embed_dim is 0; use 1 to 1,024"),
])
def test_parameters_out_of_range_are_refused_before_anything_starts(project, pairs, says):
    said = project.run("train", "--data", "sample", "-p", *pairs, status=2)
    assert says in said and said.count("\n") == 1
    assert not (project.folder / ".yelp").exists() and not (project.folder / "papermill_runs").exists()

@pytest.mark.parametrize("recipe", ["- a\n- b\n", "just words", "a: [", "lr: [1]\n", "n_grams: null\n", "lr: !!python/object:os.system x\n", b"\xff\xfe\xff"])
def test_broken_recipes(project, recipe):
    said = project.run("train", "--data", "sample", "--recipe", project.write("r.yaml", recipe), status=2)
    assert said.startswith("yelp-reviews: ") and said.count("\n") == 1, said

@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "garbage", "postgresql://u@h/d", "sqlite:////dev/null/x.db"])
def test_mlflow_that_cannot_be_used(project, uri):
    said = project.run("predict", "Good.", status=2, env={"MLFLOW_TRACKING_URI": uri})
    assert "yelp-reviews: " in said

def test_damaged_cache_is_named_or_mended(project):
    project.run("data", project.write("a.csv", plain(ROWS)))
    folder, = (project.folder / "cache/reviews").iterdir()
    (folder / "reviews.arrow").write_bytes(b"ARROW1")
    assert f"The prepared reviews in {folder} are damaged" in project.run("data", "a.csv", status=2)

def test_two_first_trainings_at_once(project):
    one, two = (project.popen("train", "--data", "sample", "-p", "limit", "2500", "-p", "bits", "16", "--run-name", n) for n in ("one", "two"))
    for process in (one, two):
        out, err = process.communicate(timeout=250)
        assert process.returncode == 0, out + err
