"""A TPM 2.0 in plain Python: 32 bytes sealed by a chip, and opened by it again.

A stranger in the house: it knows the TCG's specification ("TPM 2.0 Library", parts 1 to 3) and nothing of
the appliance. It makes nothing that stays in the chip, and changes no authorisation: the TPM is the host's.
"""
