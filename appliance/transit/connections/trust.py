"""Whom we believe to be the server, and who we say we are. There is no switch that turns verification off."""

import ssl
import threading
from pathlib import Path

from appliance import regular

_Seen = tuple[int, int, int] | None


class TrustError(Exception):
    """A certificate that is not trusted, or a file in PEM that cannot be used; its text is for our log."""


class Trust:
    """The CA file, or the system's; read again when the file was changed."""

    def __init__(self, ca_file: Path | None) -> None:
        self._ca_file = ca_file
        self._lock = threading.Lock()
        self._made: tuple[_Seen, ssl.SSLContext] | None = None

    def context(self) -> ssl.SSLContext:
        """Raises TrustError."""
        with self._lock:
            seen = self._seen()
            if self._made is None or self._made[0] != seen:
                self._made = seen, self._new()
            return self._made[1]

    def context_as(self, cert_file: Path, key_file: Path) -> ssl.SSLContext:
        """For one login with a client certificate, which is read now. Raises TrustError."""
        context = self._new()
        try:
            # An empty password refuses an encrypted key where None would ask for it on the terminal.
            context.load_cert_chain(cert_file, key_file, password="")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise TrustError(f"{cert_file}, {key_file}: {words(error)}") from None
        return context

    def _seen(self) -> _Seen:
        if self._ca_file is None:
            return None
        try:
            status = self._ca_file.stat()
        except OSError as error:
            raise TrustError(f"{self._ca_file}: {words(error)}") from None
        return status.st_mtime_ns, status.st_ino, status.st_size

    def _new(self) -> ssl.SSLContext:
        # Not create_default_context: that writes every session's keys to a file where SSLKEYLOGFILE says so.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            if self._ca_file is None:
                context.load_default_certs()
            else:
                context.load_verify_locations(self._ca_file)
        except (OSError, ValueError) as error:
            raise TrustError(f"{self._ca_file}: {words(error)}") from None
        return context


def words(error: Exception) -> str:
    """What went wrong, in the words of OpenSSL or the system; never a peer's own."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return regular.words(error)
