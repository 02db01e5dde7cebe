"""A Transit server, HashiCorp Vault 1.13 or later, or OpenBao: how it is asked, and when it is believed.

For whoever keeps something there: the engine of that name, whose keys stay in it, and the slot.
"""
