"""A provisioned volume and its command."""

from tests.ops.conftest import house, memory_dir, node

__all__ = ["house", "memory_dir", "node"]
