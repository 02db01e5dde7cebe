"""What the processes of a running appliance hold, module by module: memory and a start's time go there."""

from pathlib import Path

from tests.rig import CONFIG, Appliance

# What reads settings, and what makes a command line; of other ends of a wire, and of age.
UNWANTED = {
    "argparse",
    "click",
    "email.message",
    "html.parser",
    "http.client",
    "http.server",
    "ijson",
    "importlib.metadata",
    "multiprocessing",
    "pydantic",
    "pydantic_core",
    "pydantic_settings",
    "rich",
    "tomllib",
    "typer",
    "xml",
}


def test_neither_program_holds_what_it_does_not_need(tmp_path: Path) -> None:
    config = tmp_path / "supervisord.conf"
    text = CONFIG.read_text()
    for verb in ("provision", "serve"):
        assert f"command=kleidi {verb}" in text
        text = text.replace(f"command=kleidi {verb}", f"command=python -X importtime -m appliance {verb}")
    config.write_text(text)
    with Appliance(tmp_path, config) as appliance:
        appliance.start()
        appliance.wait_ready()
        appliance.stop()
        lines = [line for line in appliance.log().splitlines() if line.startswith("import time:")]
    loaded = {line.rpartition("|")[2].strip() for line in lines}
    assert {"appliance.service.server", "appliance.provision.apply"} <= loaded
    assert not UNWANTED & {name.partition(".")[0] for name in loaded} | UNWANTED & loaded
