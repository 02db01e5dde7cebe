"""Nothing here touches a clock, and no test is about how fast the machine is."""

import hypothesis

hypothesis.settings.register_profile("kleidi", deadline=None)
hypothesis.settings.load_profile("kleidi")
