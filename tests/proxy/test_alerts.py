"Alerts in the outbox are delivered once, across restarts of the proxy and of the webhook, by several workers."
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from conftest import Service, free_port, until

from yelp_reviews.proxy.alerts import add_alert
from yelp_reviews.proxy.database import write_transaction
from yelp_reviews.proxy.tables import alerts

from .conftest import read_rows, use_database


class Receiver(BaseHTTPRequestHandler):
    "Refuses calls while its server is `down`, and keeps the others in `events`."

    def do_POST(self):
        content = self.rfile.read(int(self.headers["content-length"]))
        self.server.calls += 1
        if not self.server.down:
            self.server.events.append(json.loads(content))
        self.send_response(503 if self.server.down else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_alerts_survive_a_webhook_that_is_down_and_a_restart_of_the_proxy(stored):
    webhook = HTTPServer(("127.0.0.1", free_port()), Receiver)
    webhook.calls, webhook.down, webhook.events = 0, True, []
    threading.Thread(target=webhook.serve_forever, daemon=True).start()

    async def add_twenty(engine):
        async with write_transaction(engine) as connection:
            for number in range(20):
                await add_alert(connection, {"event": "drift", "number": number})

    stored.run("db", "upgrade")
    use_database(stored, add_twenty)
    stored.env["YELP_SERVER_URL"] = f"http://127.0.0.1:{stored.ports['server']}"  # nobody listens there
    arguments = ("proxy", "--workers", "2", "--port", str(stored.ports["proxy"]))
    env = {"YELP_DRIFT_SECONDS": "1", "YELP_DRIFT_WEBHOOK": f"http://127.0.0.1:{webhook.server_port}/"}

    def start() -> Service: return Service(stored, *arguments, port="proxy", ready="/health/live", **env)

    proxy = start()
    until(lambda: webhook.calls >= 3, 30)
    proxy.stop()
    assert len(read_rows(stored, alerts)) == 20 and not webhook.events

    webhook.down = False
    proxy = start()
    until(lambda: not read_rows(stored, alerts), 60)
    proxy.stop()
    webhook.shutdown()
    assert sorted(event["number"] for event in webhook.events) == list(range(20))
