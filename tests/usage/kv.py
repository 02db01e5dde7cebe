"""An etcd in this process, as bad as a test wants it to be."""

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc

from appliance.usage.endpoint import Identity
from proto.etcd import kv_pb2, kv_pb2_grpc

Answer = kv_pb2.RangeResponse
Request = kv_pb2.RangeRequest


class Store(kv_pb2_grpc.KVServicer):
    """Answers as etcd does; *disturb* may change a page, or fail the call."""

    def __init__(self, objects: dict[bytes, bytes], cluster: int = 1) -> None:
        self.objects = objects
        self.cluster = cluster
        self.requests: list[Request] = []
        self.disturb: Callable[[Answer, grpc.ServicerContext], Answer] = lambda page, _context: page

    def Range(self, request: Request, context: grpc.ServicerContext) -> Answer:  # noqa: N802  # etcd's name
        self.requests.append(request)
        found = sorted(key for key in self.objects if request.key <= key < request.range_end)
        page = Answer(count=len(found), more=len(found) > request.limit)
        page.header.cluster_id = self.cluster
        page.header.revision = 100 + len(self.requests)
        for key in found[: request.limit]:
            page.kvs.add(key=key, value=self.objects[key])
        return self.disturb(page, context)


@contextmanager
def served(store: Store, identity: Identity | None = None) -> Iterator[str]:
    """The endpoint of a server for *store*, which with an *identity* wants to know its clients."""
    options = [("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(2), options=options)
    kv_pb2_grpc.add_KVServicer_to_server(store, server)
    if identity is None:
        address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    else:
        assert identity.cacert
        assert identity.cert
        assert identity.key
        pair = identity.key.read_bytes(), identity.cert.read_bytes()
        credentials = grpc.ssl_server_credentials([pair], identity.cacert.read_bytes(), True)
        address = f"https://127.0.0.1:{server.add_secure_port('127.0.0.1:0', credentials)}"
    server.start()
    try:
        yield address
    finally:
        server.stop(0).wait()
