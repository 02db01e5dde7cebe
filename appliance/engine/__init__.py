"""The SoftHSM engine: what the keyring and the provisioner need, said in PKCS#11.

The only room of the appliance that knows `softhsm`; nobody but the assembly knows this one.
"""

from appliance.engine.engine import SoftHsmEngine as SoftHsmEngine
