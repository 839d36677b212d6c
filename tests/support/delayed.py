"""A server that answers each request after a fixed time, whatever it is, and takes any number.

`python -m tests.support.delayed http1|grpc MILLISECONDS [STREAMS [CONNECTION_MS]]` prints its port.
"""

import asyncio
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import grpc
import httptools

ROOT = Path(__file__).parents[2]
PATH = "/test.Delayed/Answer"
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def serve(kind, milliseconds, *more):
    """Runs one as a process until the block ends; gives its port."""
    command = [
        sys.executable,
        "-m",
        "tests.support.delayed",
        kind,
        *map(str, (milliseconds, *more)),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


class _Http1(asyncio.Protocol):
    def __init__(self, seconds):
        self.seconds = seconds

    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data):
        self.parser.feed_data(data)

    def on_message_complete(self):
        loop = asyncio.get_running_loop()
        loop.call_later(self.seconds, self.transport.write, _ANSWER)


async def _serve_http1(seconds):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Http1(seconds), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, seconds):
        self.seconds = seconds

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self.answer)

    async def answer(self, request, context):
        await asyncio.sleep(self.seconds)
        return b"answer"


async def _serve_grpc(seconds, max_streams=0, max_age_ms=0):
    options = []
    if max_streams:
        options.append(("grpc.max_concurrent_streams", max_streams))
    if max_age_ms:
        options.append(("grpc.max_connection_age_ms", max_age_ms))
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers([_Handler(seconds)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def main(kind, milliseconds, *more):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10_000) if hard > 0 else 10_000, hard))
    seconds = float(milliseconds) / 1000
    asyncio.run(_serve_http1(seconds) if kind == "http1" else _serve_grpc(seconds, *map(int, more)))


if __name__ == "__main__":
    main(*sys.argv[1:])
