"""How long a resolution goes on after its token was thrown from another thread.

    python -m benchmarks.cancel_latency [--times N] [--situations NAME ...] [--limit MS]

Each situation is run once to the end (or for three seconds), to see how long it lasts; then many times
with a cancel at a random moment of that. Everything is on loopback or in memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING

import attrs

import puffin_api._api.solving as facade
from puffin_api import Cache, Client, Resolver, Target
from puffin_api._resolver.advice import Advisor
from puffin_api.errors import Cancelled, PuffinError
from puffin_api.model import CancelToken, Timeouts
from puffin_api.testing import FakeReleaseSource, LoopbackIndex, make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from puffin_api._testing.index_server import Asked, Reply
    from puffin_api.protocols import ReleaseSource

TARGET = Target.for_platform("3.12")
LONGEST = 3.0
"""Seconds of a situation in which a cancel may come."""
JSON = "application/vnd.pypi.simple.v1+json"
PATIENT = Timeouts(connect=60, idle=60)


class Begun(threading.Event):
    """Set when what a situation is about has begun."""


@attrs.frozen
class Situation:
    """Something that may be going on when the cancel comes."""

    name: str
    open: Callable[[Begun], contextlib.AbstractContextManager[Callable[[CancelToken], None]]]
    """Gives what resolves; it may be called once."""


def resolving(source: Client | ReleaseSource, *requirements: str) -> Callable[[CancelToken], None]:
    """Return what resolves, whatever comes of it."""

    def run(cancel: CancelToken) -> None:
        try:
            Resolver(source).resolve(requirements, target=TARGET, cancel=cancel)
        except Cancelled:
            raise
        except PuffinError:
            return

    return run


# --- on loopback ------------------------------------------------------------------------------


class HeldIndex(LoopbackIndex):
    """Does not answer for some paths until it is let go."""

    def __init__(self, files: dict[str, bytes], part: str, begun: Begun) -> None:
        super().__init__(files)
        self._part = part
        self._begun = begun
        self.go = threading.Event()

    def answer(self, asked: Asked) -> Reply:
        """Hold the answer back."""
        if self._part in asked.path:
            self._begun.set()
            self.go.wait(LONGEST + 1)
        return super().answer(asked)


def wheels(*names: str, requires: Sequence[str] = ()) -> dict[str, bytes]:
    """Return wheels of version 1.0, by file name."""
    return {f"{name}-1.0-py3-none-any.whl": make_wheel(name, "1.0", requires=requires) for name in names}


@contextlib.contextmanager
def client_of(index: LoopbackIndex) -> Iterator[Client]:
    """Give a client with an empty cache."""
    with (
        tempfile.TemporaryDirectory(prefix="puffin-bench-") as folder,
        Client(indexes=[index.url], cache=Cache(folder), timeouts=PATIENT) as client,
    ):
        yield client


def held(part: str, *requirements: str) -> Situation:
    """Return the situation that an index does not answer for a path."""

    @contextlib.contextmanager
    def opened(begun: Begun) -> Iterator[Callable[[CancelToken], None]]:
        with HeldIndex(wheels("web", "net"), part, begun) as index, client_of(index) as client:
            asked = [text.format(index.origin) for text in requirements]
            try:
                yield resolving(client, *asked)
            finally:
                index.go.set()

    return Situation(f"held: {part}", opened)


def page_of(size: int, kind: str) -> bytes:
    """Return a page of about this many bytes, of files of one project."""
    entry = {
        "url": "",
        "hashes": {"sha256": "0" * 64},
        "requires-python": ">=3.8",
        "size": 1,
        "yanked": False,
    }
    files = []
    for number in range(size // 260):
        name = f"web-1.{number // 20}.{number % 20}-py3-none-any.whl"
        # Names at the end: in pages as they usually are the files are not even parsed.
        files.append({**entry, "url": f"https://files.invalid/packages/aa/bb/{name}", "filename": name})
    if kind == "html":
        lines = (
            f'<a href="{f["url"]}#sha256={"0" * 64}" data-requires-python="&gt;=3.8">{f["filename"]}</a><br>'
            for f in files
        )
        return f"<!DOCTYPE html><html><body>\n{''.join(lines)}</body></html>".encode()
    page = {"meta": {"api-version": "1.0"}, "name": "web", "files": files}
    text = json.dumps(page, indent=1) if kind == "json in lines" else json.dumps(page)
    return text.encode()


def stored_page(size: int = 16_000_000) -> Situation:
    """Return the situation that a large page is read from the cache on disk."""

    @contextlib.contextmanager
    def opened(begun: Begun) -> Iterator[Callable[[CancelToken], None]]:
        with LoopbackIndex() as index, client_of(index) as first:
            index.page("/simple/web/", page_of(size, "json"), Content_Type=JSON, Cache_Control="max-age=600")
            resolving(first, "web")(CancelToken())
            first.close()
            with Client(indexes=[index.url], cache=first.cache, timeouts=PATIENT) as client:
                begun.set()
                yield resolving(client, "web")

    return Situation("page: 16 MB from disk", opened)


def large_page(kind: str, size: int = 16_000_000) -> Situation:
    """Return the situation that a large page is read."""

    @contextlib.contextmanager
    def opened(begun: Begun) -> Iterator[Callable[[CancelToken], None]]:
        with LoopbackIndex() as index, client_of(index) as client:
            media = "text/html" if kind == "html" else JSON
            index.page("/simple/web/", page_of(size, kind), Content_Type=media)
            begun.set()
            yield resolving(client, "web")

    return Situation(f"page: 16 MB of {kind}", opened)


# --- in memory --------------------------------------------------------------------------------


@contextlib.contextmanager
def telling_of_advice(begun: Begun) -> Iterator[None]:
    """Have it noted that the search is over and has failed."""

    class Noted(Advisor):
        def __init__(self, *arguments: object) -> None:
            begun.set()
            super().__init__(*arguments)  # type: ignore[arg-type]  # passed on as they are

    # The advisor is private: there is no parameter for it.
    names = vars(facade)
    names["Advisor"] = Noted
    try:
        yield
    finally:
        names["Advisor"] = Advisor


def in_memory(
    name: str, serve: Callable[[FakeReleaseSource], Sequence[str]], *, explaining: bool = False
) -> Situation:
    """Return a situation over a source in memory, which is filled once.

    From the second run on it knows all metadata, and so waits for nothing.
    """
    source = FakeReleaseSource()
    requirements: list[str] = []

    @contextlib.contextmanager
    def opened(begun: Begun) -> Iterator[Callable[[CancelToken], None]]:
        if not requirements:
            requirements.extend(serve(source))
        with contextlib.ExitStack() as stack:
            if explaining:
                stack.enter_context(telling_of_advice(begun))
            else:
                begun.set()
            yield resolving(source, *requirements)

    return Situation(name, opened)


def pigeons(count: int) -> Callable[[FakeReleaseSource], Sequence[str]]:
    """Return what asks for more pigeons than there are holes: ever so many conflicts."""

    def serve(source: FakeReleaseSource) -> Sequence[str]:
        for pigeon in range(count):
            for hole in range(count - 1):
                source.serve(f"pigeon{pigeon}", str(hole), requires=[f"hole{hole}=={pigeon}"])
                source.serve(f"hole{hole}", str(pigeon))
            source.serve(f"hole{count - 2}", str(pigeon))
        return [f"pigeon{pigeon}" for pigeon in range(count)]

    return serve


def alike(count: int) -> Callable[[FakeReleaseSource], Sequence[str]]:
    """Return what has many versions, which are excluded together."""

    def serve(source: FakeReleaseSource) -> Sequence[str]:
        for number in range(count):
            source.serve("a", f"1.{number}", requires=[f"b>=2,!=3.{number}"])
        source.serve("b", "1")
        source.serve("b", "2")
        source.releases("a")
        return ["a", "b<2"]

    return serve


def unusable(count: int) -> Callable[[FakeReleaseSource], Sequence[str]]:
    """Return what has many versions, none of which has a file that can be used."""

    def serve(source: FakeReleaseSource) -> Sequence[str]:
        for number in range(count):
            source.serve("a", f"1.{number}", tags=[f"cp39-cp39-win_{number}"] * 3, sdist=True)
        source.releases("a")
        return ["a"]

    return serve


def chain(length: int) -> Callable[[FakeReleaseSource], Sequence[str]]:
    """Return what leads through many projects to one that is not there: a deep proof."""

    def serve(source: FakeReleaseSource) -> Sequence[str]:
        for number in range(length):
            source.serve(f"link{number}", "1", requires=[f"link{number + 1}"])
            source.releases(f"link{number}")
        return ["link0"]

    return serve


def urls(length: int) -> Callable[[FakeReleaseSource], Sequence[str]]:
    """Return what leads through many files, each named by the URL that stands in the one before."""

    def address(number: int) -> str:
        return f"link{number} @ https://index.invalid/link{number}-1-py3-none-any.whl"

    def serve(source: FakeReleaseSource) -> Sequence[str]:
        for number in range(length):
            source.serve(f"link{number}", "1", requires=[address(number + 1)], listed=False)
        source.serve(f"link{length}", "1", listed=False)
        return [address(0)]

    return serve


SITUATIONS = (
    held("/simple/web/", "web"),
    held("web-1.0-py3-none-any.whl.metadata", "web"),
    held("/files/net-1.0-py3-none-any.whl", "net @ {}/files/net-1.0-py3-none-any.whl"),
    large_page("json"),
    large_page("json in lines"),
    large_page("html"),
    stored_page(),
    in_memory("search: 13 pigeons", pigeons(13)),
    in_memory("search: 5000 links", chain(5000)),
    in_memory("20000 versions alike", alike(20_000)),
    in_memory("20000 unusable versions", unusable(20_000)),
    in_memory("explaining: 8 pigeons", pigeons(8), explaining=True),
    in_memory("explaining: 5000 links", chain(5000), explaining=True),
    in_memory("explaining: 20000 links", chain(20_000), explaining=True),
    in_memory("explaining: 20000 versions alike", alike(20_000), explaining=True),
    in_memory("explaining: 20000 unusable versions", unusable(20_000), explaining=True),
    in_memory("look-ahead: 1000 URLs", urls(1000)),
)


# --- measuring --------------------------------------------------------------------------------


@attrs.frozen
class Row:
    """What was measured of one situation."""

    name: str
    span: float
    """Seconds in which the cancels came."""
    latencies: list[float]

    def __str__(self) -> str:
        median, worst = statistics.median(self.latencies) * 1000, max(self.latencies) * 1000
        return f"| {self.name} | {self.span:.2f} | {len(self.latencies)} | {median:.1f} | {worst:.1f} |"


@attrs.define
class Timed:
    """One run: moments in seconds."""

    begun: float = 0.0
    thrown: float = 0.0
    ended: float = 0.0


def timed(situation: Situation, moment: float) -> Timed:
    """Run, and throw the token so many seconds after the beginning, if it is not over by then."""
    begun, over, token, times = Begun(), threading.Event(), CancelToken(), Timed()

    def throw() -> None:
        begun.wait()
        times.begun = time.perf_counter()
        over.wait(moment)
        times.thrown = time.perf_counter()
        token.cancel()

    with situation.open(begun) as run:
        thrower = threading.Thread(target=throw)
        thrower.start()
        with contextlib.suppress(Cancelled):
            run(token)
        times.ended = time.perf_counter()
        begun.set()
        over.set()
        thrower.join()
    return times


def measure(situation: Situation, times: int) -> Row:
    """Cancel at random moments until that many calls were really cut short."""
    chance, latencies = random.Random(situation.name), list[float]()
    timed(situation, LONGEST)  # with what is done but once
    whole = timed(situation, LONGEST)
    span = max(0.001, whole.ended - whole.begun)
    for _ in range(3 * times):
        run = timed(situation, chance.uniform(0, span))
        if run.ended > run.thrown:
            latencies.append(run.ended - run.thrown)
        if len(latencies) == times:
            break
    return Row(situation.name, span, latencies or [float("nan")])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cancel_latency")
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--situations", nargs="+", metavar="TEXT", help="those whose name has one of these")
    parser.add_argument("--limit", type=float, default=200, help="milliseconds that no cancel should take")
    options = parser.parse_args()
    print("| situation | lasts s | cancels | median ms | worst ms |\n| --- | --- | --- | --- | --- |")
    late = []
    for situation in SITUATIONS:
        if not options.situations or any(text in situation.name for text in options.situations):
            row = measure(situation, options.times)
            print(row, flush=True)
            late += [row.name] if max(row.latencies) * 1000 > options.limit else []
    if late:
        print(f"later than {options.limit:.0f} ms: {', '.join(late)}", file=sys.stderr)


if __name__ == "__main__":
    main()
