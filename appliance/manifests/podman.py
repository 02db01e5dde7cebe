"""Without a kubelet: a quadlet, which systemd runs from boot on, and a compose file for trying things."""

from collections.abc import Iterator
from string import Template

from appliance.manifests import api_server, command
from appliance.manifests.description import CONFIG_NAME, IMAGE_USER, Description
from appliance.manifests.engines import SECRETS
from appliance.manifests.tpm import DEVICE

QUADLET = "/etc/containers/systemd/kleidi.container"

_QUADLET = Template("""\
# $headline
# systemd makes kleidi.service of it (podman-systemd.unit(5), podman 4.6 and later).
[Unit]
Description=Kleidi, a KMS v2 plugin for the Kubernetes API server
$before
[Container]
ContainerName=kleidi
Image=$image
Pull=$pull
User=$uid:$uid
Network=$network
ReadOnly=true
DropCapability=all
NoNewPrivileges=true
$settings
Volume=$volume:/var/lib/kleidi:Z
Volume=$secrets:/etc/kleidi:Z
Volume=$sockets:$sockets:z
Volume=$admin:/run/kleidi-admin:Z
${shown}PodmanArgs=--memory=384m --stop-timeout=20$member
${device}HealthCmd=CMD kleidi-probe --ready
HealthInterval=10s
HealthTimeout=5s
LogDriver=journald

[Service]
# /run is empty after a boot.
ExecStartPre=/usr/bin/install -d -m 0750 -o $uid -g $gid $sockets
ExecStartPre=/usr/bin/install -d -m 0700 -o $uid -g $uid $admin
Restart=always
TimeoutStopSec=30

[Install]
# Wanted and not required: to upgrade us must not restart the one who uses us.
WantedBy=$wanted
""")

_COMPOSE = Template("""\
# $headline
# `podman compose up` or `docker compose up`, for trying things: the image's own user on volumes made for it.
services:
  kleidi:
    image: "$image"
    user: "$uid:$uid"
$member    read_only: true
    network_mode: $network
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    mem_limit: 384m
    shm_size: 16m
    stop_grace_period: 20s
    restart: unless-stopped
    environment:
$settings
    volumes:
    - volume:/var/lib/kleidi
    - secrets:/etc/kleidi
    - sockets:$sockets
    - admin:/run/kleidi-admin
$shown$devices    healthcheck:
      test: [CMD, kleidi-probe, --ready]
      interval: 10s
      timeout: 5s
volumes:
  volume: {}
  secrets: {}
  sockets: {}
  admin: {}
""")


def files(described: Description) -> dict[str, str]:
    return {
        "kleidi.container": quadlet(described),
        # The volumes it makes belong to the image's user, whoever the description names.
        "compose.yaml": compose(described),
        CONFIG_NAME: api_server.configuration(described),
        command.NAME: command.text(),
    }


def quadlet(described: Description, before: str = "") -> str:
    """*before* is a unit that cannot do without us."""
    return _QUADLET.substitute(
        headline=described.headline,
        before=f"Before={before}\n" if before else "",
        wanted=f"multi-user.target {before}".strip(),
        image=described.image,
        pull="never" if described.pull == "Never" else "missing",
        uid=described.uid,
        gid=described.socket_gid,
        member="" if described.socket_group is None else f" --group-add={described.socket_group}",
        settings="\n".join(f"Environment={name}={value}" for name, value in described.settings.items()),
        volume=described.volume,
        secrets=described.secrets,
        sockets=described.sockets,
        admin=described.admin,
        network=_network(described),
        # Without a label of ours: others on the host use it, too.
        shown="".join(f"Volume={path}:{path}:ro\n" for path in described.engine.shown),
        device="".join(f"{line}\n" for line in _device(described)),
    )


def compose(described: Description) -> str:
    return _COMPOSE.substitute(
        headline=described.headline,
        image=described.image,
        uid=IMAGE_USER,
        member="".join(_member(described)),
        settings="\n".join(f'      {name}: "{value}"' for name, value in described.settings.items()),
        sockets=described.sockets,
        network=_network(described),
        shown="".join(_bound(described)),
        devices="" if described.tpm is None else f'    devices: ["{DEVICE}:{DEVICE}"]\n',
    )


def _device(described: Description) -> Iterator[str]:
    """Without a privilege it may be opened by its user and its group alone."""
    if described.tpm is None:
        return
    yield f"AddDevice={DEVICE}"
    if described.tpm.group:
        yield f"PodmanArgs=--group-add={described.tpm.group}"
    elif described.tpm.group is None:
        yield f"# and the group of {DEVICE}, by its number: PodmanArgs=--group-add=N"


def _member(described: Description) -> Iterator[str]:
    device = described.tpm.group if described.tpm else None
    if groups := [f'"{group}"' for group in (described.socket_group, device) if group]:
        yield f"    group_add: [{', '.join(groups)}]\n"


def _network(described: Description) -> str:
    return "host" if described.engine.network else "none"


def _bound(described: Description) -> Iterator[str]:
    name = described.engine.name
    if described.engine.brought:
        yield f"    # {described.engine.beside(IMAGE_USER)}\n    - ./{name}:{SECRETS}/{name}:ro\n"
    yield from (f"    - {path}:{path}:ro\n" for path in described.engine.shown)
