"""Keys that stay in a Transit server: HashiCorp Vault 1.13 or later, or OpenBao."""

from appliance.engines.transit.access import Access as Access
from appliance.engines.transit.engine import TransitEngine as TransitEngine
