"""The EncryptionConfiguration that an API server is given."""

import json
import re
from pathlib import Path

# What YAML 1.1 takes for something else than text.
_NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}

_TEMPLATE = """\
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - kms:
      apiVersion: v2
      name: {name}
      endpoint: {endpoint}
      timeout: 3s
  # Reads what was stored before; remove it once everything is rewritten.
  - identity: {{}}
"""


def encryption_configuration(name: str, socket: Path) -> str:
    """As YAML. *name* is part of every stored object: never change it afterwards."""
    return _TEMPLATE.format(name=_quoted(name), endpoint=_quoted(f"unix://{socket}"))


def _quoted(text: str) -> str:
    """Plain where YAML reads it as it stands, else in double quotes, which YAML has in common with JSON."""
    plain = re.fullmatch(r"(unix://)?[A-Za-z/][A-Za-z0-9/._-]*", text) and text.lower() not in _NOT_TEXT
    return text if plain else json.dumps(text, ensure_ascii=False)
