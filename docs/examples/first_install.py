"""The program of the tutorial: a new environment with Flask in it, and without again."""

# [start:environment]
import os
import subprocess

from puffin_api import Cache, Client, Installer, Interpreter, Resolver

environment = Interpreter.current().create_venv("demo-env", exists="replace")
print(environment.target)
# [end:environment]

# [start:resolve]
client = Client.from_environ(os.environ, cache=Cache.user())
resolution = Resolver(client).resolve(["flask>=3"], target=environment)
print(f"{len(resolution.packages)} packages")
# [end:resolve]


# [start:tree]
def show(name: str, depth: int = 0) -> None:
    package = resolution.packages[name]
    print("  " * depth + f"{package.name} {package.version}")
    for edge in package.requires:
        show(edge.name, depth + 1)


show("flask")
# [end:tree]

# [start:plan]
installer = Installer(environment, client)
plan = installer.plan(resolution)
for change in plan.changes:
    print(change.action, change.name, change.new)
# [end:plan]

# [start:install]
report = installer.install(plan)
print("changed:", report.changed)
# [end:install]

# [start:import]
python = environment.interpreter.path
subprocess.run([python, "-c", "import flask; print('imported', flask.__name__)"], check=True)
# [end:import]

# [start:why]
for path in resolution.why("markupsafe"):
    print(path)
# [end:why]

# [start:again]
again = installer.install(resolution)
print("changed:", again.changed)
# [end:again]

# [start:uninstall]
gone = installer.uninstall(["flask"])
print([(change.action, change.name) for change in gone.changes])
print([dist.name for dist in environment.installed()])
client.close()
# [end:uninstall]
