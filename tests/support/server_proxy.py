"""A proxy between clients and a PostgreSQL server, which can slow down and cut connections."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class ServerProxy:
    """Forwards the connections that *listener* accepts to the Unix socket of the server in *conninfo*.

    *listener* is a TCP socket, or a Unix socket named ``.s.PGSQL.5432``.

    :ivar conninfo: that of the server, with the address of the proxy and the given options
    :ivar chunk_size: the most bytes of an answer that are sent at once
    :ivar bytes_left: the bytes of answers that are forwarded before the connection is cut; None is without limit
    """

    def __init__(self, listener: socket.socket, conninfo: str, **options: object) -> None:
        server = conninfo_to_dict(conninfo)
        self._server_address = f"{server['host']}/.s.PGSQL.{server.get('port') or 5432}"
        self._listener = listener
        address = listener.getsockname()
        host, port = address if isinstance(address, tuple) else (str(Path(address).parent), 5432)
        self.conninfo = make_conninfo(conninfo, host=host, port=port, **options)
        self.chunk_size = 65536
        self.bytes_left: int | None = None
        self._connections: list[tuple[socket.socket, socket.socket]] = []  # of a client, and to the server
        self._abandoned: list[socket.socket] = []  # to the server, without a client; the server has not noticed
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, notify_server: bool) -> None:
        """End every connection for its client; without *notify_server* the backends go on waiting for requests."""
        connections, self._connections = self._connections, []
        if not notify_server:
            self._abandoned += [server for _, server in connections]
        for client, server in connections:
            _end(client)
            if notify_server:
                _end(server)

    def close(self) -> None:
        """End all connections, and accept no more."""
        self.cut(notify_server=True)
        self._listener.close()
        for server in self._abandoned:
            server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server_address)
                self._connections.append((client, server))
                for forward in (self._forward_requests, self._forward_answers):
                    threading.Thread(target=forward, args=(client, server), daemon=True).start()

    def _forward_requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        if server not in self._abandoned:
            _end(server)

    def _forward_answers(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if self.bytes_left is not None:
                    data = data[: self.bytes_left]
                    self.bytes_left -= len(data)
                for start in range(0, len(data), self.chunk_size):
                    client.sendall(data[start : start + self.chunk_size])
                if self.bytes_left == 0:
                    break
        _end(client)
        if server not in self._abandoned:
            _end(server)


def _end(connection: socket.socket) -> None:
    """End a connection, also for a thread that reads from it."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
