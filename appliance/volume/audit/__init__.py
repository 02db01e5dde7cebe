"""The audit log: one line for each step of each change, chained by hashes, only ever appended to."""

from appliance.volume.audit.chain import Chain as Chain
from appliance.volume.audit.entry import Head as Head
from appliance.volume.audit.log import AuditLog as AuditLog
