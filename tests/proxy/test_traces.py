"A trace that a caller begins passes through the proxy to the model server, and is in both logs."
import json

from conftest import until

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{CALLER}-01"


def logged_requests(service, path: str) -> list[dict]:
    "Events of the requests to a path."
    events = [json.loads(line) for line in list(service.lines) if line.startswith("{")]
    return [event for event in events if event["event"] == "request" and event["path"] == path]


def test_a_trace_is_in_both_logs(services):
    server, proxy, client = services()
    for traceparent in (TRACEPARENT, "00-soup-01", None):
        headers = {"traceparent": traceparent} if traceparent else {}
        assert client.post("/v1/predictions", json={"text": "Lovely soup."}, headers=headers).status_code == 201
    client.post("/v1/predictions/batch", json={"texts": ["Lovely soup."]}, headers={"traceparent": TRACEPARENT})
    until(lambda: logged_requests(proxy, "/v1/predictions/batch"), 5)
    for service, prefix in ((proxy, "/v1/predictions"), (server, "/predict")):
        traces = [event.get("trace_id") for event in logged_requests(service, prefix)]
        assert traces == [TRACE_ID, None, None]
        assert [event["trace_id"] for event in logged_requests(service, f"{prefix}/batch")] == [TRACE_ID]
