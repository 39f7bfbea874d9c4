"""The model server under a steady load: memory at each minute, errors at the end.

    python benchmarks/soak.py --minutes 10
"""
import argparse, os, subprocess, tempfile
from serve import CLI, Server, review

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--rate", type=int, default=1000, help="requests a second")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        env = {"YELP_HOME": f"{folder}/home", "YELP_CACHE": f"{folder}/cache", "YELP_RUNS": f"{folder}/runs", "MLFLOW_TRACKING_URI": ""}
        subprocess.run([*CLI, "train", "--data", "sample", "--run-name", "soak", "--promote"], env=os.environ | env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = Server([*CLI, "serve", "--follow", "production", "--port", "PORT"], "/predict", {"text": review(), "explain": True}, env)
        for minute in range(options.minutes):
            found = server.load(60, options.rate)
            print(f"minute {minute + 1:>2}  {server.memory():.1f} MB  {found['rate']:,.0f} a second  {found['errors']} errors", flush=True)
        server.stop()
