"""Everything under a prefix of etcd, page by page, all of one revision. Only here this room speaks gRPC."""

import itertools
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import grpc

from appliance import faults, given
from appliance.faults import Fault, KleidiError
from appliance.usage import path
from appliance.usage.endpoint import Endpoint, Identity
from proto.etcd import kv_pb2, kv_pb2_grpc

KNOCK_SECONDS = 5.0
PAGE_SECONDS = 60.0
# etcd bounds an answer by the number of its keys, never by its bytes, and a value may have 1.5 MiB or more
# (--max-request-bytes). So the number follows the size of the page before, and a page that is too large is
# asked for again with fewer keys.
FIRST_LIMIT = 128
MAX_LIMIT = 10_000  # what the API server asks for at most (apiserver, storage/etcd3/store.go: maxLimit)
PAGE_BYTES = 4 << 20
MAX_PAGE_BYTES = 64 << 20

_MAX_PEM = 1 << 20

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_PAGE_BYTES),
    ("grpc.enable_http_proxy", 0),  # etcd is on this node; a proxy of the environment is for the internet
]
_TRIES = 2
_MOVE_ON = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_FAULTS = {
    grpc.StatusCode.PERMISSION_DENIED: faults.ETCD_DENIED,
    grpc.StatusCode.UNAUTHENTICATED: faults.ETCD_DENIED,
    # "user name is empty": etcd wants to know who reads, and our certificate names nobody.
    grpc.StatusCode.INVALID_ARGUMENT: faults.ETCD_DENIED,
}


class Etcd:
    """One reading. Its first page is linearizable: no member that lags behind decides what there is."""

    def __init__(
        self, endpoints: Sequence[str], identity: Identity, prefix: str, *, seconds: float = PAGE_SECONDS
    ) -> None:
        self._endpoints = deque(map(Endpoint.parse, endpoints))  # the one in use comes first
        if not self._endpoints:
            raise KleidiError(faults.CONFIG, "--endpoints: at least one is needed")
        self._identity = identity
        self._prefix = prefix
        self._seconds = seconds
        self._exits = ExitStack()
        self._stub: kv_pb2_grpc.KVStub
        self._cluster = 0
        self.revision = 0
        self.total = 0

    def objects(self) -> Generator[tuple[bytes, bytes]]:
        """Keys and values in order of the keys. Raises E-ETCD-…, at any page."""
        # Left early, the channel closes first: that ends the call the thread may be waiting in.
        with ThreadPoolExecutor(1) as ahead, self._exits:
            self._open()
            pages = self._pages()
            # While one page is counted, the next is on its way.
            coming = ahead.submit(next, pages, None)
            while (page := coming.result()) is not None:
                coming = ahead.submit(next, pages, None)
                for entry in page.kvs:
                    yield entry.key, entry.value

    def _pages(self) -> Iterator[kv_pb2.RangeResponse]:
        start = path.directory(self._prefix)
        end = start[:-1] + bytes([start[-1] + 1])
        limit, more = FIRST_LIMIT, True
        while more:
            request = kv_pb2.RangeRequest(key=start, range_end=end, limit=limit, revision=self.revision)
            page = self._page(request)
            if page is None:
                limit = max(1, request.limit // 4)
                continue
            self._check(page, start, end)
            size = max(1, page.ByteSize())
            limit = min(MAX_LIMIT, 2 * limit, max(1, len(page.kvs) * PAGE_BYTES // size))
            more = page.more
            if page.kvs:
                start = page.kvs[-1].key + b"\0"
            yield page

    def _page(self, request: kv_pb2.RangeRequest) -> kv_pb2.RangeResponse | None:
        """None when the answer was larger than MAX_PAGE_BYTES and may be asked for with fewer keys."""
        for tries in range(max(_TRIES, len(self._endpoints)), 0, -1):
            try:
                return self._stub.Range(request, timeout=self._seconds)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and request.limit > 1:
                    return None
                if error.code() not in _MOVE_ON or tries == 1:
                    self._refuse(error)
            # A member may be restarting; any other has the same revision.
            self._endpoints.rotate(-1)
            self._open()
        raise AssertionError("unreachable: the last try returns or refuses")

    def _check(self, page: kv_pb2.RangeResponse, start: bytes, end: bytes) -> None:
        """A page that cannot be what etcd answers must not pass for the end of the data."""
        keys = [entry.key for entry in page.kvs]
        if not self.revision:
            self.revision, self.total = page.header.revision, page.count
            self._cluster = page.header.cluster_id
        if page.header.cluster_id != self._cluster:
            raise KleidiError(faults.ETCD_INCOMPLETE, "the endpoints belong to different clusters")
        ordered = all(one < two for one, two in itertools.pairwise(keys))
        if keys and not (start <= keys[0] and ordered and keys[-1] < end):
            raise KleidiError(faults.ETCD_INCOMPLETE, "keys out of order")
        if page.more and not keys:
            raise KleidiError(faults.ETCD_INCOMPLETE, "a page without objects before the last")

    def _open(self) -> None:
        """A channel to the first endpoint that answers; else the fault of the first one, and all reasons."""
        context = self._identity.context()
        troubles: list[KleidiError] = []
        for _ in range(len(self._endpoints)):
            endpoint = self._endpoints[0]
            try:
                endpoint.knock(context, KNOCK_SECONDS)
            except KleidiError as error:
                troubles.append(error)
                self._endpoints.rotate(-1)
            else:
                channel = self._exits.enter_context(self._channel(endpoint))
                self._stub = kv_pb2_grpc.KVStub(channel)
                return
        raise self._seen(troubles[0].fault, "; ".join(each.detail for each in troubles))

    def _channel(self, endpoint: Endpoint) -> grpc.Channel:
        if not endpoint.secure:
            return grpc.insecure_channel(endpoint.target, options=_OPTIONS)
        files = (self._identity.cacert, self._identity.key, self._identity.cert)
        credentials = grpc.ssl_channel_credentials(*(_pem(each) if each else None for each in files))
        return grpc.secure_channel(endpoint.target, credentials, options=_OPTIONS)

    def _refuse(self, error: grpc.RpcError) -> NoReturn:
        words = " ".join(f"{error.code().name} {error.details()}".split())
        if error.code() is grpc.StatusCode.OUT_OF_RANGE and "compacted" in words:
            raise KleidiError(faults.ETCD_COMPACTED, f"revision {self.revision}") from error
        raise self._seen(_FAULTS.get(error.code(), faults.ETCD_UNREACHABLE), words) from error

    def _seen(self, fault: Fault, detail: str) -> KleidiError:
        """Whatever comes after the first page leaves a reading half done."""
        return KleidiError(faults.ETCD_INCOMPLETE if self.revision else fault, detail)


def _pem(file: Path) -> bytes:
    return given.read(file, _MAX_PEM, unreadable=faults.ETCD_TLS)
