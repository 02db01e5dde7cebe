"""The EncryptionConfiguration that an API server is given."""

from pathlib import Path

_TEMPLATE = """\
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - kms:
      apiVersion: v2
      name: {name}
      endpoint: unix://{socket}
      timeout: 3s
  # Reads what was stored before; remove it once everything is rewritten.
  - identity: {{}}
"""


def encryption_configuration(name: str, socket: Path) -> str:
    """As YAML. *name* is part of every stored object: never change it afterwards."""
    return _TEMPLATE.format(name=name, socket=socket)
