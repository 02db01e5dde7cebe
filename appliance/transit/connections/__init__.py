"""The way to one server: its name's addresses, whose certificate is believed, bytes in bounded time."""
