"""Backups: bundles that stock `age` and tar open, and what is done with them.

Files and cryptography only: no gRPC, no PKCS#11. A bundle holds every key or is not made.
"""
