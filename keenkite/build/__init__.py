"""From a catalogue's scenes to an index: what to do (`plan`), one scene (`scene`), all (`run`)."""

from keenkite.build.plan import Plan, plan_build
from keenkite.build.progress import Progress, Report
from keenkite.build.request import CHOICES, BuildRequest, Choice
from keenkite.build.run import build, build_index
from keenkite.build.scene import Target
from keenkite.build.work import Work

__all__ = [
    "CHOICES",
    "BuildRequest",
    "Choice",
    "Plan",
    "Progress",
    "Report",
    "Target",
    "Work",
    "build",
    "build_index",
    "plan_build",
]
