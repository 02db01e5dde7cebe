"""gRPC by grpc.aio: the second transport, and the only one whose limits are the library's."""
