"""A hardware module's token as an operator chose it: library and PIN as files, one connection for all users.

Those are the engine whose keys lie in it, and the slot that it opens. Nothing is imported here: whoever only
passes `options` on loads neither ctypes nor a library.
"""
