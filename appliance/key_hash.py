"""What the API server's own log and metrics call a key (key_id_hash). Pure."""

from functools import lru_cache
from hashlib import sha256


@lru_cache(maxsize=1024)
def digest(key_id: str) -> str:
    """`sha256:` and 64 hexadecimal digits, of the whole id."""
    return f"sha256:{sha256(key_id.encode()).hexdigest()}"
