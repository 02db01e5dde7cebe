"""Putting the appliance on a node and taking it off: look, plan, apply. Loses no key and makes no KEK."""
