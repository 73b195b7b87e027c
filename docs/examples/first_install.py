"""The program of the tutorial: a new environment with Flask in it."""

# [start:program]
from puffin_api import Cache, Client, Installer, Interpreter, Resolver

environment = Interpreter.current().create_venv("demo-env", exists="reuse")
with Client(cache=Cache.user()) as client:
    resolution = Resolver(client).resolve(["flask>=3"], target=environment)
    report = Installer(environment, client).install(resolution)
# [end:program]

# [start:look]
for package in resolution.packages.values():
    print(package.name, package.version)
for change in report.changes:
    print(change.action, change.name, change.old, "->", change.new)
# [end:look]

# [start:why]
for path in resolution.why("markupsafe"):
    print(path)
# [end:why]

# [start:again]
with Client(cache=Cache.user()) as client:
    plan = Installer(environment, client).plan(resolution)
print(plan.is_empty)
# [end:again]
