"""Resolve on this machine for another one."""

# [start:target]
from puffin_api import Target

target = Target.for_platform("3.13", "manylinux_2_28_aarch64")
print(target.python, target.markers["platform_machine"])
# [end:target]

# [start:stored]
stored = target.to_dict()  # JSON-able: keep it beside a lock file
assert Target.from_dict(stored) == target
# [end:stored]
