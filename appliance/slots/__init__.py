"""More than one way to open the seal: secrets of people beside the key file of the machine.

Files and cryptography only: no gRPC, no PKCS#11. No secret is ever kept; what is kept of a
slot is the key derived from it, inside the seal.
"""

KINDS = ("file", "volume", "passphrase", "recovery")
