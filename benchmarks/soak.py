"""The model server under a steady load: memory, rate and errors of each minute.

    python benchmarks/soak.py --minutes 10
"""
import argparse
import tempfile

from serve import CLI, Server, project_env, review, train_model


def main(minutes: int, rate: int):
    with tempfile.TemporaryDirectory() as folder:
        train_model("sample", folder)
        command = [*CLI, "serve", "--follow", "production", "--port", "PORT"]
        body = {"text": review(), "explain": True}
        server = Server(command, "/predict", body, project_env(folder))
        try:
            for minute in range(1, minutes + 1):
                load = server.load(60, rate)
                figures = f"{server.memory():.1f} MB  {load['rate']:,.0f} a second  {load['errors']} errors"
                print(f"minute {minute:>2}  {figures}", flush=True)
        finally: server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--rate", type=int, default=1000, help="requests a second")
    options = parser.parse_args()
    main(options.minutes, options.rate)
