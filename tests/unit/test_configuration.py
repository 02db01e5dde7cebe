"""The EncryptionConfiguration is YAML that an API server reads as meant."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.configuration import encryption_configuration
from appliance.endpoint import socket_path

# What YAML 1.1 reads as text without quotes, on the safe side.
PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9/._-]*(:///[A-Za-z0-9/._-]+)?")
NOT_TEXT = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def value(text: str, field: str) -> str:
    """The text that YAML reads for *field*, for plain and for double-quoted values."""
    (found,) = re.findall(rf"^ +{field}: (.*)$", text, re.MULTILINE)
    if found.startswith('"'):
        return str(json.loads(found))  # YAML's double quotes are a superset of JSON's
    assert PLAIN.fullmatch(found)
    assert found.lower() not in NOT_TEXT
    return str(found)


def test_is_what_the_api_server_wants() -> None:
    text = encryption_configuration("kleidi", Path("/run/kleidi/kms.sock"))
    lines = [line for line in text.splitlines() if not line.strip().startswith("#")]
    plain = [line.replace('"', "") for line in lines]
    assert plain == [
        "apiVersion: apiserver.config.k8s.io/v1",
        "kind: EncryptionConfiguration",
        "resources:",
        "- resources: [secrets]",
        "  providers:",
        "  - kms:",
        "      apiVersion: v2",
        "      name: kleidi",
        "      endpoint: unix:///run/kleidi/kms.sock",
        "      timeout: 3s",
        "  - identity: {}",
    ]
    assert text.endswith("\n")
    assert "\t" not in text


def test_the_kms_provider_comes_first_so_that_it_writes() -> None:
    text = encryption_configuration("kleidi", Path("/run/kms.sock"))
    assert text.index("kms:") < text.index("identity:")


def test_the_endpoint_leads_back_to_the_socket() -> None:
    text = encryption_configuration("kleidi", Path("/run/other/kms.sock"))
    assert socket_path(value(text, "endpoint")) == Path("/run/other/kms.sock")


@pytest.mark.parametrize(
    "name", ["true", "null", "123", "{a}", "[a]", "*a", "&a", "!a", "'", '"', "#a", "@a", "a{b}"]
)
def test_a_name_that_yaml_reads_otherwise_is_quoted(name: str) -> None:
    assert value(encryption_configuration(name, Path("/run/kms.sock")), "name") == name


@given(st.from_regex(r"[^:\s]{1,20}", fullmatch=True).filter(str.isprintable))
def test_every_name_that_settings_allow_comes_back(name: str) -> None:
    assert value(encryption_configuration(name, Path("/run/kms.sock")), "name") == name


@pytest.mark.parametrize("path", ["/run/a: b/kms.sock", "/run/my kms.sock", "/run/é/kms.sock", "/run/kms:"])
def test_every_path_that_settings_allow_comes_back(path: str) -> None:
    text = encryption_configuration("kleidi", socket_path(path))
    assert socket_path(value(text, "endpoint")) == Path(path)
