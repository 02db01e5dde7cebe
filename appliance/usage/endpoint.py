"""One address of etcd, and a knock at its door that tells in plain words why nobody opens.

Of a certificate that is not trusted gRPC says UNAVAILABLE, and prints on stderr by itself. So each endpoint
is tried with the standard library first: connect, TLS, and HTTP/2's first frames.
"""

import errno
import os
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from appliance import faults
from appliance.faults import KleidiError

_PORT = 2379
# RFC 9113, 3.4: the client's preface and an empty SETTINGS frame; the server answers with SETTINGS, type 4.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_FRAME_HEAD = 9
_SETTINGS = 4


@dataclass(frozen=True)
class Identity:
    """Files in PEM, as etcdctl takes them: whom we trust (else whom the system does), and who we are."""

    cacert: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Raise E-INPUT-UNREADABLE for a file that cannot be read, E-ETCD-TLS for one that cannot be used."""
        if (self.cert is None) != (self.key is None):
            raise KleidiError(faults.CONFIG, "a client certificate needs --cert and --key")
        for path in filter(None, (self.cacert, self.cert, self.key)):
            if why := _unreadable(path):
                raise KleidiError(faults.INPUT_UNREADABLE, f"{path}: {os.strerror(why)}")
        try:
            context = ssl.create_default_context(cafile=self.cacert)
            if self.cert is not None:
                # An empty password refuses an encrypted key where None would ask for it on the terminal.
                context.load_cert_chain(self.cert, self.key, password="")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            files = ", ".join(str(path) for path in (self.cacert, self.cert, self.key) if path)
            raise KleidiError(faults.ETCD_TLS, f"{files}: {_words(error)}") from error
        context.set_alpn_protocols(["h2"])
        return context


@dataclass(frozen=True)
class Endpoint:
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """`https://host:port`, `http://…` or `unix:///path`; without a scheme, https. Raises E-CONFIG."""
        try:
            parts = urlsplit(text if "://" in text else f"https://{text}")
            if parts.scheme == "unix" and parts.path:
                return cls("unix", parts.path, 0)
            if parts.scheme in ("http", "https") and parts.hostname and not parts.path.strip("/"):
                return cls(parts.scheme, parts.hostname, parts.port or _PORT)
        except ValueError:
            pass
        raise KleidiError(faults.CONFIG, f"--endpoints: {text!r} is not like https://127.0.0.1:{_PORT}")

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def target(self) -> str:
        """As gRPC names it."""
        if self.scheme == "unix":
            return f"unix:{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def knock(self, context: ssl.SSLContext, seconds: float) -> None:
        """Raise E-ETCD-UNREACHABLE or E-ETCD-TLS, unless something that speaks HTTP/2 answers."""
        try:
            with closing(self._connect(seconds)) as plain:
                if not self.secure:
                    return self._greet(plain)
                with context.wrap_socket(plain, server_hostname=self.host) as wrapped:
                    # With TLS 1.3 a server refuses our certificate only after the handshake: in this answer.
                    return self._greet(wrapped)
        except ssl.SSLError as error:
            raise KleidiError(faults.ETCD_TLS, f"{self.target}: {_words(error)}") from error
        except OSError as error:
            raise KleidiError(faults.ETCD_UNREACHABLE, f"{self.target}: {_words(error)}") from error

    def _connect(self, seconds: float) -> socket.socket:
        if self.scheme != "unix":
            return socket.create_connection((self.host, self.port), timeout=seconds)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(seconds)
        try:
            connection.connect(self.host)
        except OSError:
            connection.close()
            raise
        return connection

    def _greet(self, connection: socket.socket) -> None:
        head = b""
        try:
            connection.sendall(_HELLO)
            while len(head) < _FRAME_HEAD and (more := connection.recv(_FRAME_HEAD - len(head))):
                head += more
        except (ConnectionError, ssl.SSLEOFError):
            head = b""  # gRPC's own server hangs up where Go's says why, if it is read before we write
        if len(head) == _FRAME_HEAD and head[3] == _SETTINGS:
            return
        if self.secure and not head:
            raise KleidiError(
                faults.ETCD_TLS, f"{self.target}: hung up on our certificate, or on our having none"
            )
        words = "that is not etcd's answer" if self.secure else "that is not etcd's answer; is it https?"
        raise KleidiError(faults.ETCD_UNREACHABLE, f"{self.target}: {words}")


def _unreadable(path: Path) -> int:
    """The error number with which it could not be read; it may be a pipe, so it is not tried."""
    if not path.exists():
        return errno.ENOENT
    if path.is_dir():
        return errno.EISDIR
    return 0 if os.access(path, os.R_OK) else errno.EACCES


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    text = (
        error.strerror
        if isinstance(error, OSError) and error.strerror
        else str(error) or type(error).__name__
    )
    return " ".join(text.split())
