"""Brokers for tests: which of them answer here, a way to flush each, and a proxy that falls silent or dies."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings
from kombu import Connection

QUEUE = "visual_search"
VHOST = "visual_search_faults"
REDIS = "redis://127.0.0.1:{port}/9"
RABBITMQ = "amqp://guest:guest@127.0.0.1:{port}//"
PORTS = {"redis": 6379, "rabbitmq": 5672}
QUEUES = {"filesystem": QUEUE, "redis": QUEUE, "rabbitmq": "visual_search_faults"}
"""Names of our own, so that whoever else uses these servers is not disturbed."""


def url(broker: str, port: int | None = None) -> str | None:
    """Return the address of `broker` (on another `port`: a proxy's); None for the folders of the test settings."""
    if broker == "filesystem":
        return None
    return {"redis": REDIS, "rabbitmq": RABBITMQ}[broker].format(port=port or PORTS[broker])


def answers(broker: str) -> bool:
    """Return whether `broker` is there."""
    if broker == "filesystem":
        return True
    try:
        with Connection(url(broker), connect_timeout=1, transport_options={"socket_timeout": 1} if broker == "redis"
                        else {}) as connection:  # fmt: skip
            connection.connect()
    except Exception:
        return False
    return True


def flush(broker: str) -> int:
    """Throw away every message that waits, as a broker that lost its memory would; return how many there were."""
    if broker == "filesystem":
        messages = list(Path(settings.CELERY_BROKER_TRANSPORT_OPTIONS["data_folder_in"]).iterdir())
        for message in messages:
            message.unlink(missing_ok=True)
        return len(messages)
    with Connection(url(broker), connect_timeout=2) as connection, connection.channel() as channel:
        try:
            return int(channel.queue_purge(QUEUES[broker]) or 0)
        except Exception:
            return 0  # no such queue yet


class Proxy:
    """A TCP proxy to a broker that can fall silent (accepts, never answers) and cut what is connected."""

    def __init__(self, port: int | None = None) -> None:
        self.target = port
        self.silent = port is None
        self._server = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self._server.getsockname()[1])

    def cut(self) -> None:
        """Close every connection, as a broker does that restarts."""
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        """Stop listening, and cut."""
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self._sockets.append(client)
            if self.target is None:
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            self._sockets.append(server)
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), name="proxy", daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if not self.silent:
                    sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(broker: str | None = None) -> Iterator[Proxy]:
    """Run a proxy to `broker`, or a black hole where there is none, until the block ends."""
    running = Proxy(None if broker is None else PORTS[broker])
    try:
        yield running
    finally:
        running.close()
