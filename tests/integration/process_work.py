"""What each of several processes does; a module of its own, so that a new process can import it."""

from __future__ import annotations

from puffin_api import Cache, Client, Environment, Installer, Resolver
from puffin_api.errors import PlanOutdated

_TRIES = 20


def work(place, own, common, url, begin, answers):
    """Install one set into an environment of its own and into one that all share."""
    try:
        with Client(indexes=[url], cache=Cache(f"{place}/cache")) as client:
            environments = [Environment.at(f"{place}/{name}", cache=client.cache) for name in (own, common)]
            resolution = Resolver(client).resolve(["app"], target=environments[0])
            begin.wait(60)
            for environment in environments:
                _install(environment, client, resolution)
        answers.put((own, ""))
    except BaseException as error:
        answers.put((own, repr(error)))
        raise


def _install(environment, client, resolution):
    for left in reversed(range(_TRIES)):
        try:
            Installer(environment, client).install(resolution)
        except PlanOutdated:
            if not left:
                raise
        else:
            return
