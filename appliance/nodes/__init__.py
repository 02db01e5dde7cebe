"""Several control-plane nodes with the same keys: invitation, export, join.

Decisions and files only: no gRPC, no PKCS#11. Every node keeps its own seal and its own count of generations.
"""
