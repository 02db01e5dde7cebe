"""Everything an operator can set: the only reader of the environment and of the configuration file."""

from appliance.settings.sources import CONFIG_FILE as CONFIG_FILE
from appliance.settings.sources import DEFAULT_FILE as DEFAULT_FILE
from appliance.settings.sources import load as load
from appliance.settings.table import PREFIX as PREFIX
from appliance.settings.table import Settings as Settings
