"""`kleidi manifests monitoring`: what it writes, and that it takes nothing that is about one node."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.cli.install import Subject
from appliance.cli.verbs import app
from appliance.manifests import monitoring
from appliance.manifests.distribution import Distribution
from tests.install.texts import read
from tests.reference import MANIFESTS


def test_manifests_takes_every_distribution_and_monitoring() -> None:
    assert {*Subject} == {*(each.value for each in Distribution), "monitoring"}


def test_the_files_that_are_kept_are_current() -> None:
    kept = {each.name: each.read_text() for each in (MANIFESTS / "monitoring").iterdir()}
    assert kept == monitoring.files()


@pytest.mark.parametrize("name", ["scrape.yaml", "scrape-config.yaml"])
def test_both_ways_to_scrape_ask_the_same_address(name: str) -> None:
    found = read(monitoring.files()[name])
    plain = "scrape_configs" in found
    [job] = found["scrape_configs"] if plain else [found["spec"]]
    assert job["job_name" if plain else "jobName"] == "kleidi"
    assert job["static_configs" if plain else "staticConfigs"] == [{"targets": ["127.0.0.1:9643"]}]


@pytest.mark.parametrize("option", [["--first"], ["--join"], ["--user", "nonroot"], ["--engine", "softhsm"]])
def test_it_refuses_what_is_about_one_node(option: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["manifests", "monitoring", "-d", str(tmp_path), *option])
    assert "monitoring is one for all nodes" in str(done.exception)
    assert [*tmp_path.iterdir()] == []
