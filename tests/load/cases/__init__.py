"""The cases: each module says what is measured and which goals are set, and yields `Case`s. Nothing is measured here."""

import sys

from rig.places import ROOT

# The generator of suites serves the tests, too, and lives with them.
sys.path.insert(0, str(ROOT / "tests" / "suites"))
