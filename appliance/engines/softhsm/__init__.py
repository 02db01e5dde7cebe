"""The SoftHSM engine: a token that exists sealed, and open only in memory.

The only room of the appliance that knows `softhsm`.
"""

from appliance.engines.softhsm.engine import SoftHsmEngine as SoftHsmEngine
