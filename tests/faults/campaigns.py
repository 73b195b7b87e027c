"""Whole series of faults over one scenario: what is injected where, and what must be true afterwards."""

from __future__ import annotations

from collections import Counter

from tests.faults.os_calls import DISK, ERRNOS, KINDS, READING, WRITING
from tests.faults.rich_environment import difference, tree

_ENOUGH = 20
"""So many failures are told; the rest is counted."""


class Report:
    """What a campaign did and found."""

    def __init__(self, bench, operations) -> None:
        self.scenario = bench.site.scenario.name
        self.cases = 0
        self.operations = len(operations)
        self.all_kinds = {operation[0] for operation in operations}
        self.kinds: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []

    def case(self, operation, outcome: str, *wrong: str) -> None:
        """Note one case and everything that is wrong with it."""
        self.cases += 1
        self.kinds[operation[0]] += 1
        self.outcomes[outcome] += 1
        self.failures += [f"{self.cases}: {operation} {outcome}: {text}" for text in wrong if text]

    def to_dict(self):
        return {
            "scenario": self.scenario,
            "cases": self.cases,
            "operations": self.operations,
            "kinds": dict(self.kinds),
            "missed": sorted(self.all_kinds - self.kinds.keys()),
            "outcomes": dict(self.outcomes),
            "failures": self.failures[:_ENOUGH],
            "failed": len(self.failures),
        }


def chosen(operations, *, every: int, offset: int = 0, firsts: bool = True) -> list[int]:
    """Choose operations: each so many-th, the first of each kind, and those around journal and mark."""
    numbers = set(range(offset % every, len(operations), every))
    seen: set[str] = set()
    for number, (kind, path, _) in enumerate(operations):
        if kind not in seen and firsts:
            numbers.add(number)
            seen.add(kind)
        if kind in {"replace", "open-write"} and path.endswith((".puffin-journal.json", ".puffin-committed")):
            # A journal is opened, written and renamed into place.
            numbers.update(range(number - 2 if kind == "replace" else number, number + 2))
    return sorted(number for number in numbers if 0 <= number < len(operations))


def kill_commit(bench, *, every=1, offset=0, torn=False):
    """Kill the process at operations of the commit; recover, by call or by the next change."""
    operations = [item for item in bench.operations if item[0] == "write"] if torn else bench.operations
    report = Report(bench, operations)
    for number in chosen(bench.operations, every=every, offset=offset):
        operation = bench.operations[number]
        if operation not in operations:
            continue
        for how in ("recover", "next") if every == 1 else (("recover", "next")[number % 2],):
            if bench.run(kinds=WRITING, at=number, fault="torn" if torn else "kill") is not None:
                report.case(operation, "survived", "the process was not killed")
                bench.reset()
                continue
            expected = "new" if DISK.shared.marked else "old"
            wrong = [f"reading changed {text}" for text in bench.only_read()] if how == "recover" else []
            outcome = _end(bench, how, wrong)
            wrong += _judge(bench, expected, kept=how == "recover")
            report.case(operation, f"{expected}, {outcome}", *wrong)
            if expected == "new" or wrong or (how == "next" and bench.site.scenario.undo):
                bench.reset()
    _judge_cache(bench, report)
    return report.to_dict()


def kill_recovery(bench, *, every=1, offset=0, again=3, deep=7):
    """Kill the process in the commit, then the recovery at each operation, then every so many-th second one.

    Args:
        bench: The scenario.
        every: Of the operations of the commit.
        offset: Where to begin with them.
        again: Kill the recovery at every so many-th operation.
        deep: In every so many-th case, kill the recovery of the recovery too.
    """
    report = Report(bench, ())  # the kinds that count here are those of the recovery
    for number in chosen(bench.operations, every=every, offset=offset, firsts=False):
        for attempt in range(number % again, 100_000, again):
            if bench.run(kinds=WRITING, at=number, fault="kill") is not None:
                report.case(bench.operations[number], "survived", "the process was not killed")
                bench.reset()
                break
            expected = "new" if DISK.shared.marked else "old"
            ended = bench.recover(kinds=WRITING, at=attempt, fault="kill")
            kind = DISK.shared.kind if ended is None else "close"
            level = 1
            if ended is None and report.cases % deep == 0:
                bench.recover(kinds=WRITING, at=(attempt * 5 + number) % (attempt + 9), fault="kill")
                level = 2
            wrong: list[str] = []
            _end(bench, "recover", wrong)
            wrong += _judge(bench, expected)
            if ended is None or wrong:
                report.case((kind, *bench.operations[number], attempt), f"level {level}", *wrong)
            if expected == "new" or wrong:
                bench.reset()
            if ended is not None:
                break
    _judge_cache(bench, report)
    return report.to_dict()


def fail_commit(bench, *, every=1, offset=0, errors=tuple(ERRNOS), turns=False, only="", without=()):
    """Let one operation fail, reading ones included, with each of some errors.

    Args:
        bench: The scenario.
        every: Take each so many-th operation.
        offset: Begin with this one.
        errors: Names of errors.
        turns: Whether each operation gets one of them, in turn, instead of all; reading ones always do.
        only: The function of the library whose operations are meant, such as ``journal.write_file``.
        without: Functions whose operations are left alone.
    """
    operations = _operations(bench, KINDS)
    numbers = [
        number
        for number in chosen(operations, every=every, offset=offset)
        if operations[number][2] not in without and only in {"", operations[number][2]}
    ]
    report = Report(bench, [operations[number] for number in numbers])
    for number in numbers:
        in_turn = turns or operations[number][0] in READING
        for name in (errors[number % len(errors)],) if in_turn else errors:
            answer = bench.run(kinds=KINDS, at=number, fault="error", error=ERRNOS[name])
            operation = answer["fired"] or operations[number]
            if operation[2] in without:  # a thread was quicker than when they were counted
                bench.reset()
                continue
            wrong = [] if answer["fired"] else ["the fault was never reached"]
            wrong += _judge_answer(bench, answer, name, operation)
            if not bench.site.scenario.immovable:  # there are two tries
                wrong += _judge_state(answer, number, operations)
            report.case(operation, _outcome(answer), *(f"{name}: {text}" for text in wrong))
            if wrong or bench.state() != "old":
                bench.reset()
    _judge_cache(bench, report)
    return report.to_dict()


BROKEN_DISKS = {
    "full": (("mkdir", "link", "symlink", "open-write", "write", "ioctl"), "ENOSPC"),
    "over-quota": (("mkdir", "link", "symlink", "open-write", "write", "replace", "ioctl"), "EDQUOT"),
    "read-only": (WRITING, "EROFS"),
    "gone": (tuple(kind for kind in KINDS if kind != "close"), "EIO"),
}
"""What fails on a disk from some moment on, and how."""


def break_disk(bench, *, every=1, offset=0, broken="full"):
    """From an operation on, let everything of some kinds fail; then mend the disk and recover."""
    kinds, error = BROKEN_DISKS[broken]
    operations = _operations(bench, kinds)
    report = Report(bench, ())  # what counts here is the moment
    for number in chosen(operations, every=every, offset=offset, firsts=False):
        answer = bench.run(kinds=kinds, at=number, fault="error", error=ERRNOS[error], from_on=True)
        expected = "new" if DISK.shared.marked else "old"
        wrong = _judge_broken(bench, answer, expected)
        if broken == "full" and answer.get("state") == "needs-recovery":
            wrong.append("renames are possible on a full disk, so it could have been undone")
        _end(bench, "recover", wrong)
        wrong += _judge(bench, expected)
        report.case(operations[number], _outcome(answer), *wrong)
        if expected == "new" or wrong:
            bench.reset()
    _judge_cache(bench, report)
    return report.to_dict()


def list_operations(bench):
    """Return what would be covered by the others: the operations of the change."""
    report = Report(bench, bench.operations)
    for operation in bench.operations:
        report.case(operation, "counted")
    return report.to_dict()


def _operations(bench, kinds) -> list[tuple]:
    """Return the operations of some kinds that the change takes."""
    answer = bench.run(kinds=kinds)
    bench.reset()
    return [tuple(item) for item in answer["log"]]


def _end(bench, how, wrong) -> str:
    """End what was interrupted; returns how, or adds to what is wrong."""
    if how == "next":
        return bench.make_next_change()
    answer = bench.recover(kinds=())
    if answer is None or answer["outcome"] != "done":
        wrong.append(f"recovering failed: {answer}")
        return "failed"
    if bench.recover(kinds=())["notices"]:
        wrong.append("there was something to recover a second time")
    return ",".join(answer["notices"]) or "nothing"


def _judge(bench, expected, *, followed=False, kept=True) -> list[str]:
    """Say what is wrong with the environment after all has ended."""
    found = tree(bench.site.roots)
    state = bench.state(found, followed=followed, kept=kept)
    wrong = [] if state == expected else [f"expected {expected}, found {state}"]
    wrong += [f"left {path}" for path in bench.leftovers(found)[:1]]
    return wrong + bench.problems()


def _judge_cache(bench, report) -> None:
    """Hold that no archive was changed; what could not be looked at was fetched anew, into another one."""

    def archive(path):
        return path.partition("/archive-v0/")[2].partition("/")[0]

    known = {archive(path) for path in bench.cache}
    now = tree([bench.site.cache / "archive-v0"])
    found = {path: item for path, item in now.items() if archive(path) in known}
    report.failures += [f"the cache: {text}" for text in difference(bench.cache, found)]


def _judge_answer(bench, answer, error, operation) -> list[str]:
    """Say what is wrong with how a change with one fault ended."""
    if answer["outcome"] == "escaped":
        return [f"an error of the wrong kind: {answer['message']}"]
    if answer["outcome"] == "done":
        return _judge_success(bench, answer)
    wrong = []
    if answer["kind"] not in {expected_kind(error, operation), _kind_of_state(answer["state"])}:
        wrong.append(f"raised {answer['kind']} ({answer['message']})")
    if answer["state"] == "committed":
        bench.recover(kinds=())
        return wrong + _judge(bench, "new")
    if bench.site.scenario.immovable and answer["state"] == "needs-recovery":
        bench.recover(kinds=())  # undoing the first try has failed
    elif answer["state"] not in {"untouched", "rolled-back"}:
        wrong.append(f"the state is said to be {answer['state']}")
    return wrong + _judge(bench, "old")


def _judge_state(answer, number, operations) -> list[str]:
    """Say whether the state that an error tells is that of another moment."""
    journal = next(i for i, item in enumerate(operations) if item[1].endswith("/.puffin-journal.json"))
    if answer["outcome"] != "failed":
        return []
    if number > journal and answer["state"] == "untouched":
        return ["after the journal was written, it is said to be untouched"]
    # To write the journal takes three operations, and a fault in them may be told in either way.
    if number < journal - 3 and answer["state"] != "untouched":
        return [f"before the journal was written, it is said to be {answer['state']}"]
    return []


def _judge_success(bench, answer) -> list[str]:
    wrong = []
    left = bench.leftovers()
    if left and "trash-left" not in answer["notices"]:
        wrong.append(f"left without a word: {left}")
    if bench.is_interrupted():
        bench.recover(kinds=())
    # A file that could not be linked is a copy, which is as good.
    return wrong + _judge(bench, "new", followed=True)


def _judge_broken(bench, answer, expected) -> list[str]:
    """Say what is wrong with how a change on a broken disk ended."""
    if answer["outcome"] == "done":
        return [] if expected == "new" else ["it was said to be done"]
    if answer["outcome"] == "escaped":
        return [f"an error of the wrong kind: {answer['message']}"]
    if answer["state"] == "needs-recovery":
        return (
            [] if answer["kind"] == "RollbackFailed" and answer["journal"] else [f"raised {answer['kind']}"]
        )
    if (answer["state"] == "committed") != (expected == "new"):
        return [f"the state is said to be {answer['state']}"]
    return [] if expected == "new" or _is_old_but_for_leftovers(bench) else ["renamed, and not said so"]


def _is_old_but_for_leftovers(bench) -> bool:
    found = tree(bench.site.roots)
    return {path: item for path, item in found.items() if "/.puffin-" not in path} == bench.old


def _outcome(answer) -> str:
    return f"{answer['outcome']} {answer.get('kind', '')} {answer.get('state', '')}".strip()


def _kind_of_state(state) -> str:
    return "RollbackFailed" if state == "needs-recovery" else ""


ANSWERS = {
    ("open-write", "locks"): "NotWritable",  # there can be no lock file, whatever the reason
    ("open-read", "site_packages"): "InstallFailed",  # a RECORD that cannot be read is as good as none
    ("read", "site_packages"): "InstallFailed",
    ("close", "site_packages"): "InstallFailed",
    ("unlink", "copying"): "InstallFailed",  # the next way finds what the last one has left
    ("stat", "open_files"): "InstallFailed",  # moved as a whole, which is not possible there
    ("stat", "transaction"): "InstallFailed",  # what could not be renamed may be no folder for all we know
    ("access", "journal"): "NotWritable",  # it tells nothing but yes or no
}
"""What becomes of any error of these operations, by kind and module."""


def expected_kind(error, operation) -> str:
    """Return the class that an error of the system has to become."""
    kind, _, function = operation
    module = function.partition(".")[0]
    if (kind, module) in ANSWERS:
        return ANSWERS[kind, module]
    if module == "locks":
        return "NotWritable"  # whatever is wrong with the lock file
    if error in {"ENOSPC", "EDQUOT"}:
        return "DiskFull"
    return "NotWritable" if error in {"EACCES", "EROFS"} else "InstallFailed"
