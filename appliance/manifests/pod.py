"""The static pod."""

from string import Template

from appliance.manifests import relay
from appliance.manifests.description import Description, User

_POD = Template("""\
# $headline
# A new image needs a new tag here: the kubelet restarts a static pod only when this text changes.
apiVersion: v1
kind: Pod
metadata:
  name: kleidi
  namespace: kube-system
  labels:
    app.kubernetes.io/name: kleidi
    app.kubernetes.io/component: kms-plugin
spec:
  hostNetwork: true  # there is no pod network before the API server answers
  dnsPolicy: Default
  enableServiceLinks: false
  automountServiceAccountToken: false  # a static pod must name nothing that lives in the API server
  # No admission runs for a static pod, so the class does not set the number. Without the number a node that
  # shuts down stops us first; without the class we are the first to be killed when memory is short.
  priorityClassName: system-node-critical
  priority: 2000001000
  restartPolicy: Always
  terminationGracePeriodSeconds: 20
  securityContext:
$identity
    seccompProfile:
      type: RuntimeDefault
  containers:
  - name: kleidi
    image: "$image"
    imagePullPolicy: $pull
    env:
$settings
    securityContext:
      allowPrivilegeEscalation: false
      privileged: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    # Alive is who answers, whatever the token's state: a restart mends no token.
    startupProbe:
      exec:
        command: [kleidi-probe, --live]
      periodSeconds: 2
      timeoutSeconds: 5
      failureThreshold: 60
    livenessProbe:
      exec:
        command: [kleidi-probe, --live]
      periodSeconds: 20
      timeoutSeconds: 5
      failureThreshold: 3
    # Ready is who would answer the API server's Status with ok.
    readinessProbe:
      exec:
        command: [kleidi-probe, --ready]
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 2
    resources:
      requests:
        cpu: 50m
        memory: 128Mi
      limits:
        memory: 384Mi  # and no limit of CPU: the API server waits three seconds, not longer
    volumeMounts:
    - name: volume
      mountPath: /var/lib/kleidi
    - name: secrets
      mountPath: /etc/kleidi
    - name: sockets
      mountPath: $sockets
    - name: admin
      mountPath: /run/kleidi-admin
    - name: token
      mountPath: /dev/shm/kleidi
$mounts  volumes:
  - name: volume
    hostPath:
      path: $volume
      type: Directory  # never made here: a missing mount must be noticed, not replaced by an empty one
  - name: secrets
    hostPath:
      path: $secrets
      type: Directory
  - name: sockets
    hostPath:
      path: $sockets
      type: $run_type
  - name: admin
    hostPath:
      path: $admin
      type: $run_type
  - name: token
    emptyDir:
      medium: Memory
      sizeLimit: 16Mi
$volumes""")

# What an engine's library needs of the node: read-only, never made, and at the path that it has there.
_MOUNT = """\
    - name: {name}
      mountPath: {path}
      readOnly: true
"""
_VOLUME = """\
  - name: {name}
    hostPath:
      path: {path}
      type: Directory
"""

# The TPM's relay. A pod must come up without it, too: another slot opens, or the reason is told.
_RELAY_MOUNT = """\
    - name: tpm
      mountPath: {path}
      readOnly: true
"""
_RELAY_VOLUME = """\
  - name: tpm
    hostPath:
      path: {path}
      type: DirectoryOrCreate
"""

_ROOT = """\
    runAsUser: 0  # root by number only: it owns what the kubelet makes, and every capability is dropped
    runAsGroup: 0"""
_NONROOT = """\
    runAsNonRoot: true
    runAsUser: {uid}
    runAsGroup: {uid}"""
_MEMBER = """
    supplementalGroups: [{gid}]  # only a member can give the socket to a group without a capability"""


def static_pod(described: Description) -> str:
    root = described.user is User.ROOT
    identity = _ROOT if root else _NONROOT.format(uid=described.uid)
    if described.socket_group is not None:
        identity += _MEMBER.format(gid=described.socket_group)
    shown = {f"library-{number}": path for number, path in enumerate(described.engine.shown, 1)}
    mounts = [_MOUNT.format(name=name, path=path) for name, path in shown.items()]
    volumes = [_VOLUME.format(name=name, path=path) for name, path in shown.items()]
    if described.tpm is not None:
        mounts.append(_RELAY_MOUNT.format(path=relay.DIRECTORY))
        volumes.append(_RELAY_VOLUME.format(path=relay.DIRECTORY))
    settings = described.settings | relay.settings(described)
    return _POD.substitute(
        headline=described.headline,
        identity=identity,
        image=described.image,
        pull=described.pull,
        settings="\n".join(f'    - name: {name}\n      value: "{value}"' for name, value in settings.items()),
        volume=described.volume,
        secrets=described.secrets,
        sockets=described.sockets,
        admin=described.admin,
        # The kubelet makes directories for root only; others get theirs from systemd-tmpfiles at every boot.
        run_type="DirectoryOrCreate" if root else "Directory",
        mounts="".join(mounts),
        volumes="".join(volumes),
    )
