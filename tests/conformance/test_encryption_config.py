"""The EncryptionConfiguration that operators paste is one that works."""

from pathlib import Path

from tests.conformance.secretserver import SecretServer
from tests.rig import Appliance


def test_the_api_server_loads_what_we_print_and_finds_us_behind_it(
    appliance: Appliance, secretserver: SecretServer, tmp_path: Path
) -> None:
    printed = appliance.run("encryption-config")
    assert printed.returncode == 0, printed.stderr
    configuration = tmp_path / "encryption.yaml"
    configuration.write_text(printed.stdout)

    assert secretserver.check_config(configuration) == ["resource secrets", "healthy"]
