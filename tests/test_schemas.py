"""What `to_dict()` gives is what `tests/schemas.py` says: of real failures, and of every value and event."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from puffin_api import (
    Cache,
    CancelToken,
    Client,
    Environment,
    Resolver,
    RetryPolicy,
    Timeouts,
    errors,
    model,
)
from puffin_api._model.derivation import Conclusion, Fact
from puffin_api._model.events import Event
from puffin_api._model.options import PrereleaseMode
from puffin_api._model.problems import Problem
from puffin_api.testing import FakeReleaseSource, LoopbackIndex, RecordingReporter, make_wheel
from tests.schemas import (
    CODES,
    CONCLUSION,
    ERRORS,
    EVENTS,
    FACT,
    FACT_KINDS,
    REJECTION,
    STATEMENT,
    VALUES,
    Anything,
    Each,
    breaches,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from puffin_api._model.releases import Releases

SRC = Path(errors.__file__).parent
TARGET = model.Target.for_platform("3.12")
SAMPLES = {str: "text", int: 7, float: 1.5, bool: True, None: None, Anything: "x"}


def check(value: object, schema: object) -> None:
    """Hold data to a schema, and see that they are JSON and the same after a round trip."""
    assert list(breaches(value, schema)) == []
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def sample(schema: object) -> object:
    """Make data that a schema allows."""
    match schema:
        case tuple():
            return sample(schema[0])
        case set():
            return min(schema)
        case list():
            return [sample(schema[0])]
        case Each(value=inner):
            return {"key": sample(inner)}
        case dict():
            return {key: sample(inner) for key, inner in schema.items()}
        case _:
            return SAMPLES.get(schema, schema)  # type: ignore[call-overload]  # a type or a literal


# --- the checker itself -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ({"a": 1, "b": 2}, {"a": int}),
        ({}, {"a": int}),
        ({"b": 1}, {"a": int}),
        ({"a": True}, {"a": int}),
        ({"a": 1}, {"a": bool}),
        ({"a": None}, {"a": str}),
        ((), [str]),
        ([1], [str]),
        ("no", {"yes"}),
        (2, 1),
        (True, 1),
        ([], Each(str)),
        ({1: "a"}, Each(str)),
        ({"a": 1}, Each(str)),
        (1.0, (int, None)),
        ({"a": [{"b": 1}]}, {"a": [{"b": str}]}),
    ],
)
def test_the_checker_finds_what_is_wrong(value: object, schema: object) -> None:
    assert list(breaches(value, schema))


# --- errors -------------------------------------------------------------------------------------


def test_each_error_class_has_a_schema_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    made = {kind.__name__ for kind in kinds if issubclass(kind, errors.PuffinError)}

    assert made == set(errors.__all__) == set(ERRORS)


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_gives_what_its_schema_says(name: str) -> None:
    fields = sample(ERRORS[name]["data"])

    error = getattr(errors, name)("what went wrong", hint="how to mend it", **fields)  # type: ignore[arg-type]  # a dict

    check(error.to_dict(), ERRORS[name])


def calls() -> Iterator[tuple[str, set[str], str]]:
    """Give each place that makes an error: the class, the fields that it is given, where."""
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
                given = {keyword.arg or "**" for keyword in node.keywords}
                yield node.func.id, given, f"{path.relative_to(SRC)}:{node.lineno}"


def test_a_field_that_is_not_always_given_may_be_null() -> None:
    made = list(calls())
    wrong = []
    for name, given, where in made:
        data = ERRORS[name]["data"]
        assert isinstance(data, dict)
        left_out = [field for field in data.keys() - given if list(breaches(None, data[field]))]
        wrong += [f"{where}: {name} without {field}" for field in left_out]

    assert len(made) > 80
    assert wrong == []


def fail(call: Callable[[], object], kind: type[errors.PuffinError]) -> Mapping[str, object]:
    """Return the data of the error that a call raises, after a look at its schema."""
    with pytest.raises(kind) as caught:
        call()
    data = caught.value.to_dict()
    check(data, ERRORS[type(caught.value).__name__])
    return data


# --- failed resolutions -------------------------------------------------------------------------


class Offline(FakeReleaseSource):
    """Has one project less in its cache than there is."""

    def releases(self, name: str) -> Releases:
        if name == "far":
            raise errors.OfflineMiss("not here", url="https://index.invalid/far/", missing=["far"])
        return super().releases(name)


@pytest.fixture
def source() -> FakeReleaseSource:
    return Offline()


def resolve(source: FakeReleaseSource, *requirements: str, **options: object) -> model.Resolution:
    return Resolver(source).resolve(requirements, target=TARGET, **options)  # type: ignore[arg-type]  # passed on


def failures(source: FakeReleaseSource) -> Iterator[errors.ResolutionFailed]:
    """Fail in every way there is."""
    source.serve("old", "1")
    source.serve("web", "1", requires=["old>=2"])
    source.serve("lost", "1", requires=["ghost"])
    source.serve("linked", "1", requires=["far"])
    source.serve("more", "1", requires=['old>=2 ; extra == "x"'], extras=["x"])
    source.serve("net", "1", requires=["log>=2"])
    source.serve("log", "1")
    source.serve("log", "2")
    source.serve("python", "1", requires_python=">=3.13")
    source.serve("native", "1", tags=("cp39-cp39-win_amd64",), sdist=True)
    source.serve("early", "1b1")
    source.serve("taken", "1", yanked="broken")
    source.serve("late", "1", upload_time=2e9)
    source.serve("torn", "1", invalid=errors.MetadataInvalid("x", name="torn", source="x", reason="cut off"))
    source.serve("sdist", "1", tags=(), sdist=True)
    source.serve("direct", "1", requires=["a @ https://a.invalid/a-1-py3-none-any.whl"])
    for asked, options in (
        (["old>=2"], {}),
        (["web"], {}),
        (["lost"], {}),
        (["linked"], {}),
        (["more[x]"], {}),
        (["net", "log<2"], {}),
        (["net"], {"constraints": ["log<2"]}),
        (["python"], {}),
        (["native"], {}),
        (["early"], {"prereleases": PrereleaseMode.DISALLOW}),
        (["taken"], {}),
        (["late"], {"exclude_newer": model_time()}),
        (["old"], {"exclude_newer": model_time()}),
        (["torn"], {}),
        (["sdist"], {}),
        (["sdist"], {"only_binary": ["sdist"]}),
        (["old"], {"no_binary": ["old"]}),
        (["direct"], {}),
    ):
        with pytest.raises(errors.PuffinError) as caught:
            resolve(source, *asked, **options)
        error = caught.value if not isinstance(caught.value, errors.OfflineMiss) else caught.value.__cause__
        assert isinstance(error, errors.ResolutionFailed), asked
        yield error


def model_time() -> object:
    from datetime import UTC, datetime

    return datetime(2024, 1, 1, tzinfo=UTC)


def test_every_kind_of_failed_resolution(source: FakeReleaseSource) -> None:
    kinds, codes = set(), set()
    for error in failures(source):
        data = error.to_dict()
        check(data, ERRORS["ResolutionFailed"])
        check(error.derivation.to_dict(), VALUES["Derivation"])
        assert isinstance(error.derivation, model.Derivation)
        for node in error.derivation.nodes:
            kinds.add(node.kind if isinstance(node, Fact) else "conclusion")
        codes |= {entry["code"] for found in error.excluded.values() for entry in found}

    assert kinds == {*FACT_KINDS, "conclusion"}
    assert codes >= {
        "requires-python", "incompatible-tags", "prerelease", "yanked", "too-new", "no-upload-time",
        "metadata-invalid", "needs-build", "only-binary", "no-binary", "direct-url",
    }  # fmt: skip


def literals(path: str, name: str) -> set[str]:
    """Return the texts of a ``Literal`` of the source, which is there for type checkers only."""
    for node in ast.walk(ast.parse((SRC / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            constants = [item.value for item in ast.walk(node.value) if isinstance(item, ast.Constant)]
            return {value for value in constants if isinstance(value, str)}
    raise AssertionError(name)


def test_each_code_and_each_kind_of_fact_is_in_the_schemas() -> None:
    assert literals("_model/rejection.py", "RejectionCode") == CODES
    assert literals("_model/derivation.py", "FactKind") == FACT_KINDS
    assert literals("_model/events.py", "Operation") == EVENTS["OperationStarted"]["operation"]


def test_nodes_of_a_proof_have_the_fields_that_their_classes_have() -> None:
    def names(kind: type) -> set[str]:
        return {field.name for field in attrs.fields(kind)}

    assert names(Fact) == set(FACT)
    assert names(Conclusion) | {"kind"} == set(CONCLUSION)
    assert names(model.Statement) == set(STATEMENT)
    assert names(model.Rejection) | {"schema"} == set(REJECTION)


# --- other real failures ------------------------------------------------------------------------


def test_other_failures_of_a_resolution(source: FakeReleaseSource) -> None:
    source.serve("web", "1", requires=["log>=2"])
    source.serve("log", "1")
    source.serve("log", "2")
    installed = [model.Pin("log", "1")]
    thrown = CancelToken()
    thrown.cancel("enough")

    fail(lambda: resolve(source, "no such ]"), errors.RequirementInvalid)
    fail(lambda: resolve(source, "ghost"), errors.PackageNotFound)
    fail(lambda: resolve(source, "far"), errors.OfflineMiss)
    fail(lambda: resolve(source, "web", cancel=thrown), errors.Cancelled)
    fail(lambda: resolve(source, "web", cancel=CancelToken.deadline(0)), errors.DeadlineExceeded)
    fail(lambda: resolve(source, "a @ https://a.invalid/a-1.tar.gz"), errors.BuildForbidden)
    fail(lambda: resolve(source, "web", installed=installed, protect=["log"]), errors.ProtectedPackage)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 401}, errors.AuthenticationRequired),
        ({"status": 403}, errors.Forbidden),
        ({"status": 429}, errors.RateLimited),
        ({"status": 429, "headers": {"Retry-After": "7"}}, errors.RateLimited),
        ({"status": 500}, errors.ServerError),
        ({"reset": True}, errors.ConnectFailed),
        ({"stall": True}, errors.TimedOut),
    ],
)
def test_failures_of_a_server(
    fault: dict[str, object], kind: type[errors.PuffinError], tmp_path: Path
) -> None:
    once, short = RetryPolicy(attempts=1), Timeouts(connect=0.5, idle=0.2)
    with (
        LoopbackIndex({"web-1-py3-none-any.whl": make_wheel("web", "1")}) as index,
        Client(indexes=[index.url], cache=Cache(tmp_path), retries=once, timeouts=short) as client,
    ):
        index.fail("/simple/web/", times=9, **fault)  # type: ignore[arg-type]  # passed on
        fail(lambda: client.project("web"), kind)


# --- values -------------------------------------------------------------------------------------

NOTICE = model.Notice(code="c", message="m", data={"name": "a", "count": 1})
LINK = model.DirectUrl(url="https://a.invalid/a.whl", info=model.ArchiveInfo(hashes={"sha256": "00"}))
CHANGE = model.Change(action="upgrade", name="a", old="1", new="2", direct_url=LINK)
DIRECT = [
    LINK,
    model.DirectUrl(url="https://a.invalid/a.whl", info=model.ArchiveInfo()),
    model.DirectUrl(url="file:///a", info=model.DirInfo(editable=True)),
    model.DirectUrl(url="file:///a", info=model.DirInfo()),
    model.DirectUrl(url="https://a.invalid/a", info=model.VcsInfo(vcs="git", commit_id="0")),
    model.DirectUrl(
        url="https://a.invalid/a",
        info=model.VcsInfo(vcs="git", commit_id="0", requested_revision="main"),
        subdirectory="b",
    ),
]


def resolved() -> tuple[model.Resolution, model.Resolution]:
    """Resolve twice, with everything that a resolution may have."""
    source = FakeReleaseSource()
    source.serve("web", "1", requires=["log", 'net ; extra == "x"'], extras=["x"], upload_time=1e9)
    source.serve("log", "1", requires_python=">=3.8", tags=("py3-none-any", "cp39-cp39-win_amd64"))
    source.serve("log", "2", requires=["net<2"])
    source.serve("net", "1")
    source.serve("net", "2", yanked="")
    return resolve(source, "web[x,y]", "net==2"), resolve(source, "web", "log")


def values() -> Iterator[object]:
    """Give values of every kind, each as full as it can be."""
    one, other = resolved()
    package = one.packages["web"]
    change = attrs.evolve(CHANGE, name="web", package=package, cause="version", explains=one)
    plan = model.Plan(
        changes=(CHANGE, change),
        breaks=(model.Break(name="b", version="1", requirement="a<2", becomes=None),),
        blockers=(model.Blocker(code="downgrade-not-allowed", name="a", message="no"),),
        requested=frozenset({"b", "a"}),
        notices=(NOTICE,),
    )
    yield from (one, other, one.diff(other), *one.why("log"), *DIRECT, NOTICE, plan)
    yield from (one.why_version("log"), other.why_version("log"), one.target)
    yield from (*one.packages.values(), package.file, CHANGE, change, *plan.breaks, *plan.blockers)
    yield from (model.Rejection("yanked", "was yanked", "", {"f": model.Rejection("yanked", "x")}),)
    yield model.Derivation(())
    yield model.PreparedPlan(plan=plan, wheels={}, notices=(NOTICE,))
    before = {"a": model.Before(requested=True, direct_url=DIRECT[0]), "b": model.Before(requested=False)}
    yield from before.values()
    yield model.InstallReport(changes=(change,), timings={"commit": 0.1}, notices=(NOTICE,), before=before)
    yield model.RecoveryReport(transactions=(model.Recovered("x", "finished"),))
    yield model.StaleReport(stale=("a",), importers=("b",), now_importable=("c",), restart="advised")
    yield model.CacheStatus(path=SRC, writable=True, directory_links="symlink", layers=(SRC,))
    yield model.CacheSize(files=1, bytes=2, buckets={"wheels": 2})
    yield model.CacheReport(removed=(SRC,), bytes=2)
    yield model.CoreMetadata(
        name="a", version="1", requires_dist=("b",), provides_extra=("x",), invalid=("y",)
    )
    yield model.LinkSupport(modes=("copy",))
    settings = model.BuildSettings(
        config_settings={"a": "1", "b": ["2", "3"]},
        package_config_settings={"web": {"c": ["4"]}},
        extra_requires={"web": ["log"]},
        isolation=["web"],
        env={"web": {"TOKEN": "secret"}},
        timeout=9.5,
    )
    yield settings
    yield attrs.evolve(settings, isolation=False, timeout=None, env={}, missing_env={"web": ["TOKEN"]})
    yield model.BuildTerms(settings=settings, constraints=("log<2",), needs=frozenset({"runner"}))
    yield model.BuildTerms(policy=model.BuildPolicy.NEVER, skip_failed=True)
    yield model.Project(name="a", versions=("1",), files=(package.file,), index="x", status="active")


def test_each_value_gives_what_its_schema_says() -> None:
    seen = set()
    for value in values():
        name = type(value).__name__
        check(value.to_dict(), VALUES[name])  # type: ignore[attr-defined]  # all have it
        seen.add(name)

    apart = {kind.__name__ for kind in Problem.__args__} | {"InstalledDistribution", "InstalledSet"}
    assert seen == set(VALUES) - apart


def test_each_public_value_with_data_has_a_schema() -> None:
    public = {name for name in model.__all__ if hasattr(getattr(model, name), "to_dict")}

    assert public == set(VALUES)


@pytest.mark.parametrize("kind", Problem.__args__)
def test_each_problem_has_the_fields_that_its_schema_says(kind: type) -> None:
    given = {"tuple[str, ...]": ("a", "b"), "str": "a", "int": 1, "bool": True}
    problem = kind(**{field.name: given[field.type] for field in attrs.fields(kind)})

    check(problem.to_dict(), VALUES[kind.__name__])
    assert problem.to_dict()["code"] == kind.code  # type: ignore[attr-defined]  # all have one


def test_what_is_installed_gives_what_its_schema_says(tmp_path: Path) -> None:
    folder = tmp_path / "a-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: a\nVersion: 1\nRequires-Dist: b\n\n")
    (folder / "direct_url.json").write_text(LINK.to_json())
    (tmp_path / "a-2.dist-info").mkdir()
    installed = Environment.directory(tmp_path, target=TARGET).installed()

    check(installed.to_dict(), VALUES["InstalledSet"])
    assert installed.problems
    for dist in installed:
        check(dist.to_dict(), VALUES["InstalledDistribution"])


# --- events -------------------------------------------------------------------------------------


def test_each_event_has_the_fields_that_its_schema_says() -> None:
    kinds = Event.__args__

    assert {kind.__name__ for kind in kinds} == set(EVENTS)
    for kind in kinds:
        schema = EVENTS[kind.__name__]
        event = kind(**sample(schema))  # type: ignore[arg-type]  # a dict
        check(attrs.asdict(event), schema)
        for field in attrs.fields(kind):
            kinds_of_text = schema[field.name]
            told = str(field.type)
            assert ("None" in told) == (not list(breaches(None, kinds_of_text))), (
                f"{kind.__name__}.{field.name}"
            )


def test_events_of_real_calls(tmp_path: Path) -> None:
    files = {
        "a-1-py3-none-any.whl": make_wheel("a", "1", requires=["b<2"]),
        "a-2-py3-none-any.whl": make_wheel("a", "2", requires=["b>=3"]),
        "b-1-py3-none-any.whl": make_wheel("b", "1", requires_python=">=3.6"),
        "b-2-py3-none-any.whl": make_wheel("b", "2", requires_python=">=4"),
    }
    reporter = RecordingReporter()
    with LoopbackIndex(files) as index, Client(indexes=[index.url], cache=Cache(tmp_path)) as client:
        Resolver(client).resolve(["a", "b"], target=TARGET, reporter=reporter)
        Resolver(client).resolve(["b"], target=TARGET, reporter=reporter)
        client.project("a", reporter=reporter)

    for event in reporter.events:
        check(attrs.asdict(event), EVENTS[type(event).__name__])
    assert {type(event).__name__ for event in reporter.events} >= {
        "OperationStarted",
        "OperationFinished",
        "FetchStarted",
        "FetchFinished",
        "PackageDecided",
        "CandidateRejected",
    }
