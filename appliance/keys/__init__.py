"""Keys and what they make: ids, states, envelopes and the ring that joins them.

Pure: no gRPC, no PKCS#11, no clock, no environment, no files.
"""
