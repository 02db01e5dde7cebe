"""Keys that are made in a hardware module and stay there, reached through its vendor's PKCS#11 library.

Nothing is imported here: whoever only passes `options` on loads neither ctypes nor a library.
"""
