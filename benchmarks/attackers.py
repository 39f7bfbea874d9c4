"Hostile clients for `attacks.py`: each is a coroutine that describes the life of one of its connections."
import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from yelp_reviews.data.sample import generate


@dataclass(frozen=True)
class Target:
    "Where a hostile connection goes."
    port: int
    key: str

    async def connect(
        self,
        receive_buffer: int = 2**20, # bytes that may wait to be read
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        return await asyncio.open_connection(sock=connection, limit=receive_buffer)

    def head(self, route: str, *fields: str) -> bytes:
        "A request line, the fields that every request has, and further ones, without the empty line."
        lines = [f"{route} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"X-API-Key: {self.key}", *fields]
        return "\r\n".join([*lines, ""]).encode()


async def read_response(reader: asyncio.StreamReader):
    "Read the head of a response, and the body if its length is known."
    head = await reader.readuntil(b"\r\n\r\n")
    if length := re.search(rb"content-length: (\d+)", head.lower()): await reader.readexactly(int(length[1]))


async def post_forever(target: Target, body: str):
    "Send one body to the proxy again and again."
    reader, writer = await target.connect()
    fields = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    request = target.head("POST /predictions", *fields) + b"\r\n" + body.encode()
    while True:
        writer.write(request)
        await read_response(reader)


async def certain_texts(target: Target):
    "Asks for the explanation of a text that is so positive that its probability rounds to 1."
    praise = " ".join([row["text"] for row in generate(200) if row["stars"] == 5][:40])
    await post_forever(target, json.dumps({"text": praise, "explain": True}))


async def half_pairs(target: Target):
    "Sends a text with half of a surrogate pair."
    await post_forever(target, r'{"text": "Lovely \ud83d"}')


async def endless_heads(target: Target):
    "Sends a request head of 94 MB."
    _, writer = await target.connect()
    writer.write(target.head("GET /ping") + b"X-Long: ")
    for _ in range(94):
        writer.write(b"a" * 10**6)
        await writer.drain()


async def slow_readers(target: Target):
    "Asks for an export and reads one byte of it a second."
    reader, writer = await target.connect(receive_buffer=2**10)
    writer.write(target.head("GET /predictions/export", "Connection: close") + b"\r\n")
    while await reader.read(1): await asyncio.sleep(1)


async def drips(target: Target):
    "Sends a request without a key and, once it is answered, one byte every two seconds."
    reader, writer = await target.connect()
    writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
    await read_response(reader)
    while not reader.at_eof():
        writer.write(b"G")
        await writer.drain()
        await asyncio.sleep(2)


async def readiness_flood(target: Target):
    "Asks whether the service is ready, without a pause."
    reader, writer = await target.connect()
    while True:
        writer.write(b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        await read_response(reader)


async def page_flood(target: Target):
    "Opens the page of the dashboard again and again, and never says that it has left."
    reader, writer = await target.connect()
    writer.write(target.head("GET /", "Connection: close") + b"\r\n")
    while await reader.read(2**16): pass


def kernel_of(page: str) -> str:
    "The id of the kernel of a page of the dashboard; raises `ValueError` if the page has none."
    match = re.search(r'"kernelId": "([0-9a-f-]{36})"', page)
    if not match: raise ValueError("a page without a kernel")
    return match[1]


async def bare_websockets(target: Target):
    "Opens the websocket of its page without a subprotocol, and sends a message that claims to have 2^31 - 1 parts."
    reader, writer = await target.connect()
    writer.write(target.head("GET /", "Connection: close") + b"\r\n")
    page = await reader.read(-1)
    kernel = kernel_of(page.decode())
    reader, writer = await target.connect()
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    upgrade += (f"Sec-WebSocket-Key: {'A' * 22}==",)
    writer.write(target.head(f"GET /api/kernels/{kernel}/channels", *upgrade) + b"\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x82\x84" + bytes(4) + b"\x7f\xff\xff\xff") # a binary message of four bytes, with the mask 0
    while await reader.read(2**16): pass


@dataclass(frozen=True)
class Attack:
    "What one hostile client does."
    connection: Callable[[Target], Awaitable] # the life of one connection; those that end are opened again
    connections: int                          # at a time
    service: str = "proxy"                    # which is attacked: server, proxy or dashboard
    files: int = 4096                         # file descriptors that the service may open


ATTACKS = {
    "1 explanations of certain texts": Attack(certain_texts, 16),
    "2 half surrogate pairs": Attack(half_pairs, 4),
    "3 endless heads, proxy": Attack(endless_heads, 4),
    "3 endless heads, model server": Attack(endless_heads, 4, "server"),
    "4 slow readers of exports": Attack(slow_readers, 256),
    "5 answered connections that drip": Attack(drips, 600, files=256),
    "6 flood of /health/ready": Attack(readiness_flood, 64),
    "7 many pages of the dashboard": Attack(page_flood, 8, "dashboard"),
    "7 websockets without subprotocol": Attack(bare_websockets, 1, "dashboard"),
}


def run_attack(attack: Attack, target: Target):
    "Keep the connections of an attack open until the process is killed."
    async def again_and_again():
        while True:
            with suppress(OSError, EOFError, ValueError): await attack.connection(target)
            await asyncio.sleep(.2)

    async def all_connections(): await asyncio.gather(*(again_and_again() for _ in range(attack.connections)))
    asyncio.run(all_connections())
