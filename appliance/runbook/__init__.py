"""What an operator does about each fault: what is felt, where to look, what to do, when to wake somebody.

Data beside the faults, one module for each of their tables, for `kleidi explain` and docs/errors.md. Most is
derived from a fault's kind; what stands here by hand is what that does not tell. The server never loads it.
"""

from appliance.runbook.book import entries as entries
from appliance.runbook.book import entry as entry
from appliance.runbook.book import near as near
from appliance.runbook.effects import EVERY as EFFECTS
from appliance.runbook.entry import Effect as Effect
from appliance.runbook.entry import Entry as Entry
from appliance.runbook.entry import Wake as Wake

__all__ = ["EFFECTS", "Effect", "Entry", "Wake", "entries", "entry", "near"]
