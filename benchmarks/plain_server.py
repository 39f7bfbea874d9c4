"""A peer of `benchmarks/serve.py`: a bare FastAPI route of the same shape, which answers without a model.

    python benchmarks/plain_server.py PORT
"""
import sys

import uvicorn
from fastapi import FastAPI

from yelp_reviews.serving.schemas import Prediction, PredictRequest

DETAILS = {"mlflow_run_id": "0" * 32, "model_version": "1", "inference_elapsed": 1e-4}

app = FastAPI()


@app.post("/predict", response_model=Prediction, response_model_exclude_unset=True)
async def predict(request: PredictRequest):
    return {"text": request.text, "is_positive_review": 1, "probability": .9, "details": DETAILS}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
