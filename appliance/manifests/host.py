"""What a host prepares for the appliance outside of any container."""

from string import Template

from appliance.manifests import relay
from appliance.manifests.description import Description

TMPFILES = "/etc/tmpfiles.d/kleidi.conf"
TMPFILES_NAME = "tmpfiles.conf"

# /run is empty after a boot, and a static pod's kubelet would make these directories root's with mode 0755.
_TMPFILES = Template("""\
# $headline
d $sockets 0750 $uid $gid -
d $admin 0700 $uid $uid -
$more""")


def tmpfiles(described: Description) -> str:
    return _TMPFILES.substitute(
        headline=described.headline,
        sockets=described.sockets,
        admin=described.admin,
        uid=described.uid,
        gid=described.socket_gid,
        # Root's: who dials there must not put another socket in its place.
        more="" if described.tpm is None else f"d {relay.DIRECTORY} 0750 0 {described.uid} -\n",
    )
