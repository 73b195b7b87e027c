"""What `to_dict()` of public values gives, written out. Programs rely on it: who changes this changes them.

A schema is a type (exactly that one), a literal or a set of texts (one of these), a list of one schema (any
number of these), a dict (these keys and no others), ``Each`` (any keys) or a tuple (one of these schemas).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator


@attrs.frozen
class Each:
    """An object with any keys, whose values are all of one kind."""

    value: object


class Anything:
    """JSON-able data of any kind."""


def breaches(value: object, schema: object, place: str = "$") -> Iterator[str]:
    """Say what is not as a schema has it, each with its place."""
    match schema:
        case tuple():
            is_right = any(not list(breaches(value, each)) for each in schema)
        case Each() | dict() if isinstance(value, dict):
            yield from _of_object(value, schema, place)
            return
        case [inner] if isinstance(value, list):
            for number, item in enumerate(value):
                yield from breaches(item, inner, f"{place}[{number}]")
            return
        case set():
            is_right = type(value) is str and value in schema
        case type():
            is_right = schema is Anything or type(value) is schema
        case _:
            is_right = type(value) is type(schema) and value == schema
    if not is_right:
        yield f"{place}: {value!r} in place of {schema}"


def _of_object(value: dict[str, object], schema: Each | dict[str, object], place: str) -> Iterator[str]:
    if isinstance(schema, Each):
        yield from (f"{place}: the key {key!r} is no text" for key in value if type(key) is not str)
        schema = dict.fromkeys(value, schema.value)
    for key in sorted(schema.keys() ^ value.keys()):
        yield f"{place}: {'lacks' if key in schema else 'has'} {key!r}"
    for key in schema.keys() & value.keys():
        yield from breaches(value[key], schema[key], f"{place}.{key}")


NUMBER = (int, float)
TEXT_OR_NULL = (str, None)
COUNT_OR_NULL = (int, None)

# --- why something was left out, and proofs ---------------------------------------------------

CODES = {
    "incompatible-tags", "requires-python", "yanked", "too-new", "no-upload-time", "no-binary", "only-binary",
    "needs-build", "hash-mismatch", "hash-missing", "no-files", "file-missing", "metadata-invalid", "offline",
    "prerelease", "direct-url", "required-otherwise", "requirement-unmet", "conflict", "trade-off",
}  # fmt: skip
REJECTION = {
    "schema": 1,
    "code": CODES,
    "text": str,
    "value": str,
    "files": Each({"code": CODES, "text": str, "value": str}),
}
STATEMENT = {"package": str, "versions": str, "selected": bool}
FACT_KINDS = {
    "required", "constraint", "dependency", "no-versions", "not-found", "offline", "unusable", "extra",
}  # fmt: skip
FACT = {
    "kind": FACT_KINDS,
    "text": str,
    "terms": [STATEMENT],
    "requirements": [str],
    "reasons": Each(REJECTION),
}
CONCLUSION = {"kind": "conclusion", "text": str, "terms": [STATEMENT], "causes": [int]}
DERIVATION = {"schema": 1, "nodes": [(FACT, CONCLUSION)], "hints": [str]}
EXCLUDED = {"version": str, "code": CODES, "reason": str, "files": Each(str)}

# --- errors -----------------------------------------------------------------------------------

STATES = {"untouched", "rolled-back", "committed", "needs-recovery"}


def error(
    code: str, data: dict[str, object], *, retryable: bool = False, user_fixable: bool = True
) -> dict[str, object]:
    """Return the schema of an error."""
    return {
        "schema": 1,
        "code": code,
        "message": str,
        "hint": str,
        "retryable": retryable,
        "user_fixable": user_fixable,
        "state": STATES,
        "data": data,
    }


_PATH: dict[str, object] = {"path": str}
_URL: dict[str, object] = {"url": str}

ERRORS: dict[str, dict[str, object]] = {
    "PuffinError": error("puffin-error", {}),
    "RequirementInvalid": error(
        "requirement-invalid",
        {"text": str, "file": TEXT_OR_NULL, "line": COUNT_OR_NULL, "column": COUNT_OR_NULL},
    ),
    "InterpreterNotFound": error("interpreter-not-found", {"request": str, "tried": [str]}),
    "ProbeFailed": error("probe-failed", {"path": str, "reason": str, "output": str}),
    "EnvironmentProblem": error("environment-problem", _PATH),
    "ExternallyManaged": error("externally-managed", _PATH),
    "NotWritable": error("not-writable", _PATH),
    "LockTimeout": error("lock-timeout", {"path": str, "owner": str, "seconds": NUMBER}, retryable=True),
    "PlanOutdated": error("plan-outdated", {"path": str, "diff": [str]}, retryable=True),
    "ProtectedPackage": error(
        "protected-package", {"path": TEXT_OR_NULL, "name": str, "requested_by": [str]}
    ),
    "NetworkError": error("network-error", _URL, retryable=True),
    "ConnectFailed": error("connect-failed", _URL, retryable=True),
    "TlsVerificationFailed": error("tls-verification-failed", {"url": str, "host": str}),
    "ProxyFailed": error("proxy-failed", _URL, retryable=True),
    "TimedOut": error("timed-out", {"url": str, "phase": {"connect", "idle", "total"}}, retryable=True),
    "AuthenticationRequired": error("authentication-required", {"url": str, "origin": str}),
    "Forbidden": error("forbidden", _URL),
    "RateLimited": error("rate-limited", {"url": str, "retry_after": (int, float, None)}, retryable=True),
    "ServerError": error("server-error", {"url": str, "status": int}, retryable=True),
    "OfflineMiss": error("offline-miss", {"url": str, "missing": [str]}),
    "PackageError": error("package-error", {"name": str}),
    "PackageNotFound": error("package-not-found", {"name": str, "indexes": [str]}),
    "NoCompatibleFile": error("no-compatible-file", {"name": str, "version": str, "reasons": Each(str)}),
    "MetadataInvalid": error(
        "metadata-invalid", {"name": TEXT_OR_NULL, "source": str, "reason": str}, user_fixable=False
    ),
    "HashMismatch": error("hash-mismatch", {"name": str, "source": str, "expected": [str], "actual": str}),
    "UnsafeArchive": error(
        "unsafe-archive",
        {"name": str, "archive": TEXT_OR_NULL, "entry": str, "rule": str},
        user_fixable=False,
    ),
    "ResolutionFailed": error(
        "resolution-failed",
        {"derivation": DERIVATION, "conflicts": [str], "excluded": Each([EXCLUDED])},
    ),
    "BuildFailed": error(
        "build-failed",
        {
            "package": str,
            "phase": str,
            "exit_code": COUNT_OR_NULL,
            "log_tail": [str],
            "log_path": TEXT_OR_NULL,
        },
    ),
    "BuildForbidden": error("build-forbidden", {"package": str}),
    "PolicyDenied": error("policy-denied", {"violations": [str]}),
    "InstallFailed": error("install-failed", _PATH),
    "FileInUse": error("file-in-use", _PATH, retryable=True),
    "FileConflict": error("file-conflict", {"path": str, "owners": [str]}),
    "PathTooLong": error("path-too-long", _PATH),
    "DiskFull": error(
        "disk-full", {"path": str, "needed": COUNT_OR_NULL, "free": COUNT_OR_NULL}, retryable=True
    ),
    "RollbackFailed": error("rollback-failed", {"path": str, "journal": str}),
    "CacheUnavailable": error("cache-unavailable", _PATH),
    "Cancelled": error("cancelled", {"reason": str}, retryable=True),
    "DeadlineExceeded": error("deadline-exceeded", {"reason": str}, retryable=True),
}

# --- other values -----------------------------------------------------------------------------

NOTICE = {"schema": 1, "code": str, "message": str, "data": Each(Anything)}
DIRECT_URL = (
    {"url": str, "archive_info": ({}, {"hashes": Each(str), "hash": str})},
    {"url": str, "dir_info": ({}, {"editable": True})},
    {"url": str, "vcs_info": {"vcs": str, "commit_id": str}},
    {"url": str, "vcs_info": {"vcs": str, "commit_id": str, "requested_revision": str}, "subdirectory": str},
)
FILE = {
    "schema": 1,
    "name": str,
    "version": str,
    "filename": str,
    "url": str,
    "hashes": Each(str),
    "size": COUNT_OR_NULL,
    "upload_time": TEXT_OR_NULL,
    "requires_python": TEXT_OR_NULL,
    "yanked": TEXT_OR_NULL,
    "metadata": (bool, str, None),
    "index": str,
    "allowed": [str],
    "origin": (*DIRECT_URL, None),
}
PACKAGE = {
    "schema": 1,
    "name": str,
    "version": str,
    "extras": [str],
    "file": FILE,
    "stamp": str,
    "alternatives": [FILE],
    "requires": [{"requirement": str, "extra": str}],
    "source": {"index", "url", "path", "git"},
    "metadata_from": {"wheel", "sdist", "build", "caller"},
}
TARGET = {"schema": 1, "markers": Each(str), "tags": [str]}
INPUTS = Each(Anything)
CHANGE = {
    "schema": 1,
    "action": {"install", "upgrade", "downgrade", "reinstall", "remove"},
    "name": str,
    "old": TEXT_OR_NULL,
    "new": TEXT_OR_NULL,
    "cause": {"missing", "version", "origin", "duplicate", "broken", "asked", "extraneous", "orphan", "undo"},
    "cached": bool,
    "reasons": [str],
    "file": (FILE, None),
    "direct_url": (*DIRECT_URL, None),
}
BREAK = {"schema": 1, "name": str, "version": str, "requirement": str, "becomes": TEXT_OR_NULL}
BLOCKERS = {"downgrade-not-allowed", "remove-not-allowed", "externally-managed", "not-writable"} | {
    "disk-full"
}
BLOCKER = {"schema": 1, "code": BLOCKERS, "name": str, "message": str}
BEFORE = {"schema": 1, "requested": bool, "direct_url": (*DIRECT_URL, None)}
BUILD_SETTINGS = {
    "schema": 1,
    "config_settings": Each((str, [str])),
    "package_config_settings": Each(Each((str, [str]))),
    "extra_requires": Each([str]),
    "isolation": (bool, [str]),
    "env": Each([str]),
    "timeout": (float, int, None),
    "keep_logs": bool,
}
BUILD_TERMS = {
    "schema": 1,
    "policy": {"allow", "metadata-only", "never"},
    "settings": (BUILD_SETTINGS, None),
    "constraints": [str],
    "cutoff": Each((float, int, None)),
    "cutoff_key": str,
    "skip_failed": bool,
    "needs": [{"builder", "runner"}],
}
PLAN = {
    "schema": 1,
    "mode": {"add", "sync", "uninstall", "undo"},
    "environment": str,
    "environment_fingerprint": str,
    "changes": [CHANGE],
    "breaks": [BREAK],
    "blockers": [BLOCKER],
    "requested": [str],
    "download_bytes": int,
    "builds": [str],
    "kept": int,
    "undoes": str,
    "notices": [NOTICE],
}

INSTALLED = {
    "schema": 1,
    "name": str,
    "version": str,
    "location": str,
    "requires": [str],
    "extras": [str],
    "installer": str,
    "requested": bool,
    "editable": bool,
    "direct_url": (None, *DIRECT_URL),
}


def _problem(data: dict[str, object]) -> dict[str, object]:
    return {"schema": 1, "code": str, "message": str, "data": data}


PROBLEMS: dict[str, object] = {
    "MissingDependency": _problem({"name": str, "version": str, "requirement": str}),
    "VersionConflict": _problem({"name": str, "version": str, "requirement": str, "installed": str}),
    "DuplicateDistribution": _problem({"name": str, "versions": [str], "locations": [str]}),
    "BrokenMetadata": _problem({"name": str, "location": str, "reason": str}),
    "MissingFile": _problem({"name": str, "path": str}),
    "ModifiedFile": _problem({"name": str, "path": str}),
    "InterruptedTransaction": _problem({"path": str}),
    "UnsupportedPython": _problem({"name": str, "version": str, "requires_python": str, "python": str}),
}

VALUES: dict[str, object] = {
    "Before": BEFORE,
    "Blocker": BLOCKER,
    "Break": BREAK,
    "BuildSettings": BUILD_SETTINGS,
    "BuildTerms": BUILD_TERMS,
    "CacheReport": {"schema": 1, "removed": [str], "bytes": int, "damaged": Each(str)},
    "CacheSize": {"schema": 1, "files": int, "bytes": int, "buckets": Each(int)},
    "CacheStatus": {"schema": 1, "path": str, "writable": bool, "directory_links": str, "layers": [str]},
    "Change": CHANGE,
    "CoreMetadata": {
        "schema": 1,
        "name": str,
        "version": str,
        "metadata_version": str,
        "summary": str,
        "requires_dist": [str],
        "requires_python": str,
        "provides_extra": [str],
        "dynamic": [str],
        "invalid": [str],
    },
    "InstalledDistribution": INSTALLED,
    "InstalledSet": {
        "schema": 1,
        "fingerprint": str,
        "distributions": [INSTALLED],
        "problems": [{"schema": 1, "code": str, "message": str, "data": Each(Anything)}],
    },
    **PROBLEMS,
    "DependencyPath": {"schema": 1, "requirements": [str]},
    "Derivation": DERIVATION,
    "DirectUrl": DIRECT_URL,
    "DistFile": FILE,
    "InstallReport": {
        "schema": 1,
        "changed": bool,
        "changes": [CHANGE],
        "notices": [NOTICE],
        "timings": Each(float),
        "bytes_downloaded": int,
        "transaction_id": str,
        "environment": str,
        "before": Each(BEFORE),
    },
    "LinkSupport": {"schema": 1, "modes": [str]},
    "Notice": NOTICE,
    "Plan": PLAN,
    "PreparedPlan": {
        "schema": 1,
        "plan": PLAN,
        "wheels": Each(str),
        "bytes_downloaded": int,
        "notices": [NOTICE],
    },
    "Project": {
        "schema": 1,
        "name": str,
        "versions": [str],
        "files": [FILE],
        "index": str,
        "status": str,
        "skipped": Each(str),
    },
    "RecoveryReport": {
        "schema": 1,
        "transactions": [{"transaction": str, "outcome": {"finished", "rolled-back", "discarded"}}],
    },
    "Rejection": REJECTION,
    "Resolution": {
        "schema": 1,
        "roots": [str],
        "target": TARGET,
        "packages": [PACKAGE],
        "inputs": INPUTS,
        "notices": [NOTICE],
        "builds": (BUILD_TERMS, None),
    },
    "ResolutionDiff": {"schema": 1, "added": Each(str), "removed": Each(str), "changed": Each([str])},
    "ResolvedPackage": PACKAGE,
    "StaleReport": {
        "schema": 1,
        "stale": [str],
        "importers": [str],
        "now_importable": [str],
        "restart": {"no", "advised", "required"},
    },
    "Target": TARGET,
    "VersionChoice": {"schema": 1, "chosen": str, "rejected": Each(REJECTION)},
}

OPERATIONS = {"resolve", "plan", "prepare", "install", "uninstall", "fetch", "recover", "undo"}
EVENTS: dict[str, dict[str, object]] = {
    "Backtracked": {"conflicts": int},
    "BuildFinished": {"task": int, "error": str},
    "BuildOutput": {"task": int, "line": str},
    "BuildStarted": {"task": int, "name": str, "phase": str},
    "CandidateRejected": {"name": str, "version": str, "reason": str, "code": CODES},
    "ChangeFinished": {"name": str, "action": str},
    "ChangeStarted": {"name": str, "action": str},
    "CommitFinished": {"transaction": str},
    "CommitStarted": {"transaction": str, "changes": int},
    "FetchFinished": {"task": int, "received": int, "cached": bool, "error": str},
    "FetchProgress": {"task": int, "received": int, "total": COUNT_OR_NULL},
    "FetchStarted": {"task": int, "kind": {"page", "metadata", "file"}, "name": str, "total": COUNT_OR_NULL},
    "LockWaiting": {"path": str, "owner": str},
    "Notice": {"code": str, "message": str, "data": Each(Anything)},
    "OperationFinished": {"operation": OPERATIONS, "seconds": float, "error": str},
    "OperationStarted": {"operation": OPERATIONS},
    "PackageDecided": {"name": str, "version": str},
    "RollbackFinished": {"transaction": str, "error": str},
    "RollbackStarted": {"transaction": str},
}
