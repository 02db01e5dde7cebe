"""The server: sockets, the two gRPC services, and the keeper of the open token behind them."""

import os

# Read when gRPC is imported, so set before any module of ours does. Its core writes lines of its own into
# the log, no JSON, as often as a caller likes: `Error parsing 'grpc-timeout' metadata`.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
