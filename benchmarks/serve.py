"""The model server under load, beside a bare FastAPI route of the same shape, `mlflow models serve` of the same version, and LitServe where it is installed.

    python benchmarks/serve.py --data sample

The load generator is wrk (Debian's), 16 connections on the loopback, reviews of 50 words.
"""
import json, os, re, signal, socket, subprocess, sys, tempfile, time, urllib.request
from importlib.util import find_spec
from pathlib import Path
import numpy as np
from yelp_reviews.core.settings import get_settings
from yelp_reviews.data.sample import generate
from common import arguments, machine, table

BARE = """
import sys, uvicorn
from fastapi import FastAPI
from yelp_reviews.serving.schemas import Prediction, PredictRequest
app = FastAPI()

@app.post("/predict", response_model=Prediction, response_model_exclude_unset=True)
async def route(request: PredictRequest):
    return {"text": request.text, "is_positive_review": 1, "probability": .9, "details": {"mlflow_run_id": "0" * 32, "model_version": "1", "inference_elapsed": 1e-4}}

uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
"""
LITSERVE = """
import sys, litserve
from yelp_reviews.scorer.artifact import load_scorer
from yelp_reviews.scorer.prediction import predict_one

class API(litserve.LitAPI):
    def setup(self, device): self.scorer = load_scorer(sys.argv[2])
    def decode_request(self, request): return request["text"]
    def predict(self, text): return text, predict_one(self.scorer, text)
    def encode_response(self, found): return {"text": found[0], "is_positive_review": int(found[1] >= .5), "probability": found[1]}

if __name__ == "__main__":
    litserve.LitServer(API(api_path="/predict"), accelerator="cpu", workers_per_device=1).run(port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False, log_level="warning")
"""
CLI = [sys.executable, "-c", "from yelp_reviews.cli import main; main()"]


def review(words: int = 50) -> str:
    "A synthetic review of so many words."
    return " ".join(" ".join(row["text"] for row in generate(200)).replace('"', "").replace("\\", "").split()[:words])


class Server:
    "A process that answers at a port, for a while."
    def __init__(self, command: list[str], path: str, body: dict, env: dict, key: str = ""):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
        self.url, self.body = f"http://127.0.0.1:{self.port}{path}", json.dumps(body)
        self.process = subprocess.Popen([word.replace("PORT", str(self.port)) for word in command], env=os.environ | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.started = self.wait()

    def wait(self) -> float:
        "Seconds until it answered."
        start = time.perf_counter()
        while time.perf_counter() - start < 120:
            try: return urllib.request.urlopen(urllib.request.Request(self.url, self.body.encode(), self.headers), timeout=5).read() and time.perf_counter() - start
            except OSError: time.sleep(.02)
        raise SystemExit(f"{self.url} did not answer")

    def load(self, seconds: int, rate: float = 0, connections: int = 16, spent: float = 0) -> dict[str, float]:
        "Requests a second, errors, and milliseconds at the median and the 99th percentile; at a rate by pausing between requests, less the milliseconds `spent` in them."
        pause = f"function delay() return {int(1000 * connections / rate - spent)} end" if rate else ""
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(f'wrk.method = "POST"\nwrk.body = {json.dumps(self.body)}\n{pause}\n' + "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in self.headers.items()))
            script.flush()
            printed = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script.name, self.url], capture_output=True, text=True, check=True).stdout
        unit = {"us": .001, "ms": 1, "s": 1000}
        quantile = lambda share: (found := re.search(rf"{share}%\s+([\d.]+)(us|ms|s)", printed)) and float(found[1]) * unit[found[2]]
        return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", printed)[1]), "p50": quantile(50), "p99": quantile(99), "errors": sum(map(int, re.findall(r"(?:Non-2xx or 3xx responses:|connect|read|write|timeout) (\d+)", printed)))}

    def memory(self) -> float:
        "Resident megabytes."
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1000

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)


if __name__ == "__main__":
    options = arguments(__doc__, seconds=(int, 5, "of load a round"))
    with tempfile.TemporaryDirectory() as folder:
        env = {"YELP_HOME": f"{folder}/home", "YELP_CACHE": f"{folder}/cache", "YELP_RUNS": f"{folder}/runs", "MLFLOW_TRACKING_URI": ""}
        subprocess.run([*CLI, "train", "--data", options.data, "--run-name", "bench", "--promote"], env=os.environ | env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        database = f"sqlite:///{folder}/home/mlflow.db"
        artifact = str(next(Path(folder, "home/artifacts").rglob("model.safetensors")))
        text = review()
        servers = {
            "yelp-reviews": Server([*CLI, "serve", "--model", artifact, "--port", "PORT"], "/predict", {"text": text}, env),
            "bare FastAPI route": Server([sys.executable, "-c", BARE, "PORT"], "/predict", {"text": text}, env),
            "mlflow models serve": Server([sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/yelp-model/1", "--env-manager", "local", "-p", "PORT", "-w", "1"], "/invocations",
                                          {"dataframe_split": {"columns": ["text"], "data": [[text]]}}, env | {"MLFLOW_TRACKING_URI": database})}
        if find_spec("litserve"):
            script = Path(folder, "lit.py")
            script.write_text(LITSERVE)
            servers["LitServe, the same scorer"] = Server([sys.executable, str(script), "PORT", artifact], "/predict", {"text": text}, env)
        ours = servers["yelp-reviews"]
        rounds = {name: [] for name in servers}
        for _ in range(options.rounds):
            for name, server in servers.items(): rounds[name].append(server.load(options.seconds))
        rate = {name: float(np.median([r["rate"] for r in found])) for name, found in rounds.items()}
        half = ours.load(options.seconds, rate["yelp-reviews"] / 2)
        batch = Server([*CLI, "serve", "--model", artifact, "--port", "PORT"], "/predict/batch", {"texts": [text] * 64}, env)
        batches = batch.load(options.seconds, connections=4)
        print(f"{machine()}; one worker each, 16 connections, 50 words, {options.rounds} interleaved rounds of {options.seconds} s, medians\n")
        print(table(["server", "requests a second", "ours against it", "errors"], [[name, f"{r:,.0f}", f"{rate['yelp-reviews'] / r:.2f}", sum(f["errors"] for f in rounds[name])] for name, r in rate.items()]), "\n")
        print(table(["what", "figure"], [["99th percentile at half of that load", f"{half['p99']:.1f} ms at {half['rate']:,.0f} a second, {half['errors']} errors"],
              ["batches of 64", f"{64 * batches['rate']:,.0f} reviews a second"], ["from start to the first answer", f"{ours.started:.2f} s"],
              ["resident after the load", f"{ours.memory():.0f} MB"]]))
        for server in [*servers.values(), batch]: server.stop()
