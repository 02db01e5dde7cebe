"""The log tells of an operator's call in the operator's own words."""

import re
from pathlib import Path

from tests.rig import Appliance


def test_each_act_is_a_line_of_its_verb(tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance:
        appliance.start()
        appliance.wait_ready()
        for words in (
            "key stage --reason a --dry-run",
            "key stage",
            "key promote v2",
            "node invite",
            "key enable v1",
        ):
            reason = ["--reason", 'two "words"'] if words == "key stage" else []
            appliance.run(*words.split(), *reason)
        appliance.stop()
        log = appliance.log()
    assert re.search(r"info    key stage reason=a dry_run=True by=\d+:\d+ generation=1 ms=", log)
    assert re.search(r'info    key stage reason="two \\"words\\"" by=\d+:\d+ generation=2 ms=', log)
    assert re.search(r"info    key promote key=v2 by=\d+:\d+ generation=3 ms=", log)
    assert re.search(r"info    node invite by=\d+:\d+ ms=", log)
    assert re.search(r'warning key enable key=v1 by=\d+:\d+ id=E-KEY-STATE detail="', log)
    assert "milliseconds=" not in log
    assert len(re.findall(r"info    provisioned ", log)) == 1
    assert log.rstrip().splitlines()[-1].endswith("stopped")
