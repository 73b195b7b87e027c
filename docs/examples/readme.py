"""The program of the README and of the first page."""

# [start:program]
import os

from puffin_api import Cache, Client, Installer, Interpreter, Resolver

environment = Interpreter.current().create_venv("demo-env", exists="reuse")
with Client.from_environ(os.environ, cache=Cache.user()) as client:
    resolution = Resolver(client).resolve(["flask>=3"], target=environment)
    report = Installer(environment, client).install(resolution)
for change in report.changes:
    print(change.action, change.name, change.new)
# [end:program]
