"""What carries calls: gRPC on a Unix socket, by nghttp2 or by grpcio. A service knows neither."""

from appliance.service.rpc.calls import Service
from appliance.service.sockets.binding import Bind

NGHTTP2, GRPCIO = "nghttp2", "grpcio"


def speaks(transport: str, service: Service, *, guarded: bool = False) -> Bind:
    """A server of *service*, new for every path; a *guarded* one asks the kernel who connects.

    Raises E-TRANSPORT-MISSING and -OLD. What is not chosen is not imported: grpcio takes 27 MiB.
    """
    if transport == GRPCIO:
        from appliance.service.transports.grpcio.server import speaks_grpcio

        return speaks_grpcio(service, guarded=guarded)
    from appliance.service.transports.nghttp2.server import speaks_nghttp2

    return speaks_nghttp2(service, guarded=guarded)
