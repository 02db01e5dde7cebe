"""What a call is given, as it lies in memory: the structures that whoever calls any module by ctypes needs.

On Linux nothing is packed and CK_ULONG is a native unsigned long (pkcs11.h).
"""

from ctypes import Structure, c_ulong, c_void_p

ULONG = c_ulong


class Attribute(Structure):
    _fields_ = (("type", ULONG), ("value", c_void_p), ("size", ULONG))


class Mechanism(Structure):
    _fields_ = (("type", ULONG), ("parameter", c_void_p), ("size", ULONG))


class OaepParameters(Structure):
    """CK_RSA_PKCS_OAEP_PARAMS."""

    _fields_ = (
        ("hash", ULONG),
        ("mask", ULONG),
        ("source", ULONG),
        ("label", c_void_p),
        ("label_size", ULONG),
    )


class GcmParameters(Structure):
    """CK_GCM_PARAMS with ulIvBits, as the errata of 2.40 and 3.x have it."""

    _fields_ = (
        ("iv", c_void_p),
        ("iv_size", ULONG),
        ("iv_bits", ULONG),
        ("aad", c_void_p),
        ("aad_size", ULONG),
        ("tag_bits", ULONG),
    )
