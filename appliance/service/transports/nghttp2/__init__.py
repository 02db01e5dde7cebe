"""gRPC's unary calls on HTTP/2 by libnghttp2: frames, HPACK and flow control are its; what gRPC adds is ours.

One way in and one way out: connection (bytes of a socket) → session (HTTP/2) → call (gRPC) → rpc/calls.
"""
