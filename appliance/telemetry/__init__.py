"""What happens, told once as values; the log hears it, and whatever counts."""

from appliance.telemetry.counts import Counts as Counts
from appliance.telemetry.log_lines import LogLines as LogLines
from appliance.telemetry.observer import NOBODY as NOBODY
from appliance.telemetry.observer import Called as Called
from appliance.telemetry.observer import Committed as Committed
from appliance.telemetry.observer import Event as Event
from appliance.telemetry.observer import Observer as Observer
from appliance.telemetry.observer import Observers as Observers
from appliance.telemetry.observer import Proved as Proved
from appliance.telemetry.observer import Remarked as Remarked
from appliance.telemetry.observer import Stood as Stood
from appliance.telemetry.observer import Switched as Switched
from appliance.telemetry.observer import TokenOpened as TokenOpened
