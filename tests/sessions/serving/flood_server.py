"""A FlowServer, or uvicorn, with an application that does what a test asks for by its path.

``python flood_server.py daphne|uvicorn SOCKET SIZE COUNT [CERTIFICATE KEY]``. Prints ``ready``, then for every
connection a line when its application has ended. ``/``: sends COUNT messages as fast as it may, then closes
(``sent n``). ``/shut``: sends until it has been kept waiting for half a second, then closes (``shut``).
``/echo/<hours>``: sets the clock of the wall to so many hours later, and sends back what comes (``echoed n``).
``/sizes``: sends messages of as many bytes as each that comes says, every second one past the task where the server
has a way for it; closes at one that says nothing.
"""

import asyncio
import socket
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[3])]

kind, path, size, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
tls = sys.argv[5:7]
wall = time.time


async def flood(receive, send):  # type: ignore[no-untyped-def]
    sent = 0
    try:
        for _ in range(count):
            await send({"type": "websocket.send", "bytes": bytes(size)})
            sent += 1
        await send({"type": "websocket.close", "code": 4411})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    finally:
        print(f"sent {sent}", flush=True)


async def shut(receive, send):  # type: ignore[no-untyped-def]
    try:
        while True:
            async with asyncio.timeout(0.5):
                await send({"type": "websocket.send", "bytes": bytes(size)})
    except TimeoutError:
        print("kept waiting", flush=True)
    await send({"type": "websocket.close", "code": 4411})
    while (await receive())["type"] != "websocket.disconnect":
        pass
    print("shut", flush=True)


async def echo(receive, send, hours):  # type: ignore[no-untyped-def]
    time.time = lambda: wall() + hours * 3600
    echoed = 0
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": message["text"]})
        echoed += 1
    print(f"echoed {echoed}", flush=True)


async def sizes(receive, send, direct):  # type: ignore[no-untyped-def]
    while text := (await receive()).get("text"):
        for number, count in enumerate(map(int, text.split())):
            data = bytes(n % 251 for n in range(count))
            if direct is not None and number % 2 and direct.writable:
                time.sleep(0.05)  # noqa: ASYNC251 - the reader empties the socket before the reactor fills it again
                direct.write(data)
            else:
                await send({"type": "websocket.send", "bytes": data})
    await send({"type": "websocket.close", "code": 4411})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def application(scope, receive, send):  # type: ignore[no-untyped-def]
    if scope["type"] != "websocket":  # uvicorn's lifespan
        return
    await receive()
    await send({"type": "websocket.accept"})
    words = scope["path"].split("/")
    if words[1] == "shut":
        await shut(receive, send)
    elif words[1] == "sizes":
        await sizes(receive, send, scope.get("extensions", {}).get("stripedesk.direct"))
    elif words[1] == "echo":
        await echo(receive, send, float(words[2]))
    else:
        await flood(receive, send)


def listen() -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    return listener


def run_daphne() -> None:
    from sessions.serving.listening import Adopted, TlsContext
    from sessions.serving.server import FlowServer

    endpoint = Adopted(listen(), TlsContext(Path(tls[0]), Path(tls[1]))) if tls else f"unix:{path}"
    server = FlowServer(application, [endpoint], ready=lambda: print("ready", flush=True))
    server.ping_interval = 1
    server.run()


def run_uvicorn() -> None:
    """As docs/reference/uvicorn.md says to run it."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print("ready", flush=True)

    config = uvicorn.Config(
        application,
        log_level="warning",
        lifespan="off",
        ws="sessions.serving.uvicorn_protocol:FlowProtocol",
        ws_per_message_deflate=False,
        ws_max_size=64 * 1024,
        timeout_graceful_shutdown=3,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )
    Server(config).run(sockets=[listen()])


{"daphne": run_daphne, "uvicorn": run_uvicorn}[kind]()
