"""A worker that opens the display with its cookie, says that it streams, and does as the test told it.

Its source is passed with ``python -c``, for a sandbox shows no test files. First argument: how it behaves.
"""

import json
import os
import socket
import struct
import sys
import time

import redis

behaviour, path = sys.argv[1], sys.argv[3]
with open(path) as file:
    config = json.load(file)
if behaviour == "hang":
    time.sleep(60)
if behaviour == "refuse":
    print("configuration refused: the test wants it so", file=sys.stderr)
    sys.exit(4)
if behaviour == "crash":
    print("segmentation fault, or as good as", file=sys.stderr)
    sys.exit(1)

name, cookie = config["auth_name"].encode(), bytes.fromhex(config["auth_data"])
display = socket.socket(socket.AF_UNIX)
display.connect(config["display_socket"])
padded = name + b"\0" * (-len(name) % 4) + cookie + b"\0" * (-len(cookie) % 4)
display.sendall(struct.pack("<BxHHHHxx", 0x6C, 11, 0, len(name), len(cookie)) + padded)
if display.recv(1) != b"\1":
    sys.exit("the X server refused the cookie")

with open("/proc/net/dev") as file:
    interfaces = file.readlines()[2:]

client = redis.Redis.from_url(config["redis_url"])
status = {
    "state": "streaming",
    "error": "",
    "pid": os.getpid(),
    "settings": config["settings"],
    "environment": dict(os.environ),
    "uid": os.getuid(),
    "groups": os.getgroups(),
    "files": sorted(os.listdir("/")),
    "interfaces": sorted(line.split(":")[0].strip() for line in interfaces),
}
if behaviour == "obey":
    import contextlib
    import io
    import threading
    import traceback

    def obey() -> None:
        """Run what the test says on this session's own channel."""
        channel = f"stripedesk__group__session.{config['session']}"
        with client.pubsub() as asked:
            asked.subscribe(f"{channel}.ask")
            for message in asked.listen():
                if message["type"] != "message":
                    continue
                said = io.StringIO()
                with contextlib.redirect_stdout(said):
                    try:
                        exec(message["data"].decode(), {"client": client, "config": config})
                    except BaseException:
                        said.write(traceback.format_exc())
                client.publish(f"{channel}.answer", json.dumps({"said": said.getvalue()}))

    threading.Thread(target=obey, daemon=True).start()

if behaviour in ("quiet", "busy"):
    status["input_s"] = status["picture_s"] = 0.0
began = time.monotonic()
while True:
    if behaviour == "quiet":
        status["input_s"] = status["picture_s"] = time.monotonic() - began
    client.set(f"stripedesk:session:{config['session']}:status", json.dumps(status), ex=15)
    display.settimeout(1)
    try:
        if display.recv(4096) == b"":
            sys.exit(3)
    except TimeoutError:
        continue
    time.sleep(0.05)
