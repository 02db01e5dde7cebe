"""The EncryptionConfiguration that operators paste is one that works."""

import os
import shutil
from pathlib import Path

import pytest

from appliance.install.before import Before
from appliance.install.node import Node, apply
from appliance.manifests.description import Description
from appliance.manifests.distribution import Distribution
from tests.conformance.secretserver import SecretServer
from tests.reference import CHECKOUT
from tests.rig import Appliance


def test_the_api_server_loads_what_we_print_and_finds_us_behind_it(
    appliance: Appliance, secretserver: SecretServer, tmp_path: Path
) -> None:
    printed = appliance.run("encryption-config")
    assert printed.returncode == 0, printed.stderr
    configuration = tmp_path / "encryption.yaml"
    configuration.write_text(printed.stdout)

    assert secretserver.check_config(configuration) == ["resource secrets", "healthy"]


@pytest.mark.skipif(os.geteuid() != 0, reason="an installation gives directories to root")
def test_the_api_server_loads_what_was_taken_over(secretserver: SecretServer, tmp_path: Path) -> None:
    node = shutil.copytree(CHECKOUT / "tests/install/nodes/encrypted", tmp_path / "node")
    apply(Node(node).installation(Distribution.KUBEADM, Description(), Before.TAKE_OVER))
    loaded = secretserver.check_config(node / "etc/kubernetes/kleidi/encryption-config.yaml")
    # Nobody answers at our socket here, which is no reason not to load.
    assert [line for line in loaded if line.startswith("resource ")] == ["resource secrets"]
