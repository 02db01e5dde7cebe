"""Endpoints as the API server reads them. Pure text."""

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

# sun_path holds 108 bytes with its closing zero (unix(7)).
_MAX_SIZE = 107
# The server binds under a hidden name of this many characters in the same directory first.
HIDDEN_NAME_SIZE = 7
_IPV6 = 6
_LAST_PORT = 65535
# Where the API server finds us by default.
KMS_SOCKET = Path("/run/kleidi/kms.sock")
# The name of the socket for probes, beside the admin socket.
HEALTH_NAME = "health.sock"


class EndpointError(ValueError):
    """An endpoint that the API server would read otherwise than it is written."""


def socket_path(text: str) -> Path:
    """The socket's path, from `/path` or `unix:///path`.

    Kubernetes takes only the path of the URL (k8s.io/kms/pkg/util, ParseEndpoint), so that
    `unix://var/run/kms.sock` silently means /run/kms.sock and `unix:kms.sock` means nothing.
    Whatever has such a second reading is refused.
    """
    if not text.isprintable() or text != text.strip():
        # urlsplit would drop line breaks and tabs, and blanks in front, where Go refuses them.
        raise EndpointError(f"{text!r} has blanks or control characters")
    if text.startswith("/"):
        path = text
    else:
        try:
            url = urlsplit(text)
        except ValueError as error:
            raise EndpointError(f"{text!r} is not a URL") from error
        if url.scheme != "unix" or url.netloc or url.query or url.fragment or "?" in text or "#" in text:
            raise EndpointError(f"{text!r} must be a path or unix:///path, without host, '?' and '#'")
        # Before anything is decoded: Go takes `unix:%2fa` for opaque, which has no path.
        if not url.path.startswith("/"):
            raise EndpointError(f"{text!r} must be a path or unix:///path")
        try:
            path = unquote(url.path, errors="strict")
        except UnicodeDecodeError as error:
            raise EndpointError(f"{text!r} encodes bytes that are no text") from error
    return _checked(path, text)


def loopback(text: str) -> tuple[str, int]:
    """Address and port of `127.0.0.1:9643` or `[::1]:9643`, which nobody reaches from another machine."""
    host, colon, port = text.rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError as error:
        raise EndpointError(f"{text!r} must be an address and a port: 127.0.0.1:9643") from error
    if not address.is_loopback or "%" in host:
        raise EndpointError(f"{text!r} is not of this machine alone: take 127.0.0.1 or [::1]")
    written = f"[{address}]" if address.version == _IPV6 else str(address)
    if host != written or not colon or not (port.isascii() and port.isdecimal()) or port.startswith("0"):
        raise EndpointError(f"{text!r} must be an address and a port: {written}:9643")
    if int(port) > _LAST_PORT:
        raise EndpointError(f"{text!r} has a port above {_LAST_PORT}")
    return str(address), int(port)


def dialled(text: str) -> str:
    """The path that the API server dials for an endpoint, "" for none; whatever else is in it is passed over.

    So it is less strict than `socket_path`: it asks what an endpoint means, not whether it should be written.
    """
    try:
        url = urlsplit(text.strip())
    except ValueError:
        return ""
    # Go takes `unix:a` for opaque, which has no path.
    return unquote(url.path) if url.scheme == "unix" and url.path.startswith("/") else ""


def _checked(path: str, text: str) -> Path:
    if path.startswith(("/@", "@")):
        raise EndpointError(f"{text!r} is an abstract socket, which no permissions protect")
    if (
        not path.startswith("/")
        or path.startswith("//")
        or path.endswith("/")
        or path != str(Path(path))
        or ".." in Path(path).parts
    ):
        raise EndpointError(f"{text!r} must name an absolute path to a file, in its shortest form")
    if not path.isprintable() or any(character in path for character in "?#%"):
        raise EndpointError(f"{text!r} has a character that reads otherwise in a URL")
    longest = max(len(Path(path).name.encode()), HIDDEN_NAME_SIZE)
    if len(str(Path(path).parent).encode()) + 1 + longest > _MAX_SIZE:
        raise EndpointError(
            f"{text!r} is longer than the {_MAX_SIZE} bytes that a Unix socket's path may have"
        )
    return Path(path)
