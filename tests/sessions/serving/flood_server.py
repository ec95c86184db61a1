"""A FlowServer with an application that sends as fast as it may.

``python flood_server.py SOCKET SIZE COUNT [CERTIFICATE KEY]``. Prints ``ready``, then a line for every connection: how
many messages were taken when it ended.
"""

import socket
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[3])]

from sessions.serving.listening import Adopted, TlsContext  # noqa: E402
from sessions.serving.server import FlowServer  # noqa: E402

path, size, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def application(scope, receive, send):  # type: ignore[no-untyped-def]
    await receive()
    await send({"type": "websocket.accept"})
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


endpoint = f"unix:{path}"
if len(sys.argv) > 4:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    endpoint = Adopted(listener, TlsContext(Path(sys.argv[4]), Path(sys.argv[5])))
FlowServer(application, [endpoint], ready=lambda: print("ready", flush=True)).run()
