"""The server: sockets, the two gRPC services, and the keeper of the open token behind them."""
