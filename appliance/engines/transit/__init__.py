"""Keys that stay in a Transit server."""

from appliance.engines.transit.engine import TransitEngine as TransitEngine
