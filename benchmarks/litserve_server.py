"""A peer of `benchmarks/serve.py`: the same scorer behind LitServe.

    python benchmarks/litserve_server.py PORT ARTIFACT
"""
import sys

import litserve

from yelp_reviews.core.conventions import THRESHOLD
from yelp_reviews.scorer.artifact import load_scorer
from yelp_reviews.scorer.prediction import predict_one


class API(litserve.LitAPI):
    def setup(self, device):
        self.scorer = load_scorer(sys.argv[2])

    def decode_request(self, request):
        return request["text"]

    def predict(self, text):
        return text, predict_one(self.scorer, text)

    def encode_response(self, answer):
        text, probability = answer
        return {"text": text, "is_positive_review": int(probability >= THRESHOLD), "probability": probability}


if __name__ == "__main__":
    server = litserve.LitServer(API(api_path="/predict"), accelerator="cpu", workers_per_device=1)
    server.run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="warning")
