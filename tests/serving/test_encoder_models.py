"A cascade, which asks a transformer about uncertain reviews, is served from the registry like any other model."
import httpx2
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from yelp_reviews.scorer.encoder import Encoder
from yelp_reviews.scorer.prediction import predict, predict_one

from .conftest import constant_scorer

TEXTS = ["good soup", "bad soup", "good bad good"]
PIECES = 110  # more than the numbers of [CLS] and [SEP]


def toy_network() -> bytes:
    "An ONNX network that adds 2 for each `good` and subtracts 2 for each `bad`."
    table = np.zeros((PIECES, 1), np.float32)
    table[1], table[2] = 2, -2
    constants = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "axes")]
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axes"], ["logit"], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "n"])]
    outputs = [helper.make_tensor_value_info("logit", TensorProto.FLOAT, [1, 1])]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def toy_encoder() -> Encoder:
    "An encoder that knows two words."
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "good": 1, "bad": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return Encoder(toy_network(), words.to_str().encode())


def test_a_cascade_is_served_and_asks_its_encoder(registry, serve):
    cascade = constant_scorer(.1, encoder=toy_encoder())
    bag = constant_scorer(.1)
    registry.add_production(cascade)
    server = serve("--follow", "production")
    with httpx2.Client(base_url=server.url) as client:
        assert client.get("/version").json()["encoder"] is True
        single = [client.post("/predict", json={"text": text}).json()["probability"] for text in TEXTS]
        batch = client.post("/predict/batch", json={"texts": TEXTS}).json()["predictions"]
    assert single == pytest.approx(predict(cascade, TEXTS), abs=1e-9)
    assert [prediction["probability"] for prediction in batch] == pytest.approx(single, abs=1e-9)
    assert single[0] > .5 > single[1], "the encoder decides"
    assert all(predict_one(bag, text) > .5 for text in TEXTS)
