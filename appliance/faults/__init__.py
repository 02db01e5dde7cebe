"""Everything that can go wrong, in one closed table: a stable id, what it means, what to do.

A fault's *kind* says who is hurt and is turned into a gRPC status at the edge
(appliance/service/rpc/answers.py); its *exit* is what the command line ends with.
Only the id, the sentence and the remedy ever leave the process on the wire: the
API server copies them into its log and into users' replies. The detail goes to
our own log and terminal.
"""

from appliance.faults.fault import Exit as Exit
from appliance.faults.fault import Fault as Fault
from appliance.faults.fault import Kind as Kind
from appliance.faults.fault import KleidiError as KleidiError
from appliance.faults.fault import every as every
from appliance.faults.fault import named as named
from appliance.faults.storage import *
from appliance.faults.serving import *
from appliance.faults.calls import *
from appliance.faults.changes import *
from appliance.faults.surroundings import *
from appliance.faults.transit import *
from appliance.faults.pkcs11 import *
from appliance.faults.tpm import *
