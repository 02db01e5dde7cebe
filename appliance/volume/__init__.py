"""What survives a reboot, and how it is kept: sealed generations, their slots, the anchor.

Files and cryptography only: no gRPC, no PKCS#11, no policy. SoftHSM's own directory
is never the stored form, for it rewrites its files in place at every login.
"""
