"""More than one way to open the seal: secrets of people beside the key file of the machine.

Files and cryptography only: no gRPC, no PKCS#11. No secret is ever kept; what is kept of a
slot is the key derived from it, inside the seal.
"""

from appliance.slots.asked import Asked as Asked
from appliance.slots.asked import Opening as Opening
from appliance.slots.asked import Secret as Secret
from appliance.slots.kinds import BY_ITSELF as BY_ITSELF
from appliance.slots.kinds import KINDS as KINDS
from appliance.slots.kinds import Kind as Kind
from appliance.slots.kinds import asked_for as asked_for
from appliance.slots.kinds import machine_slot as machine_slot
