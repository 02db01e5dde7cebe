"""Texts for every way to run the appliance, from one description. Pure: values in, text out.

Plain templates and no YAML library: people read these files at bad hours, so they carry comments, and a
library that keeps comments is larger than all templates together. What makes that safe: every value that
goes into a template is checked to be a plain scalar (description.py), and tests decode every text strictly,
the pods and the EncryptionConfiguration with the API server's own code.
"""
