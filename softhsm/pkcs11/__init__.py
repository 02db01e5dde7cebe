"""Any vendor's PKCS#11 module, by ctypes: a token that is kept open, and AES-GCM under keys that it made.

A `Device` is one token of one `Module`; a `Cipher` encrypts under its keys. The room knows nothing of SoftHSM
or of its directories, and imports nothing of the room around it. Every failure leaves as a `Pkcs11Error`,
named by what to do about it.
"""
