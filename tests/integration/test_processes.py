"""Several processes, one cache: each wheel is fetched once, and every environment is right."""

from __future__ import annotations

import multiprocessing
from collections import Counter

from puffin_api import Environment, Interpreter
from tests.integration.job_kit import GRAPH, graph_files, leftovers, versions
from tests.integration.process_work import work

PROCESSES = 6


def test_processes_share_a_cold_cache_and_an_environment(serve, tmp_path):
    index = serve(graph_files(ballast=100_000))
    interpreter = Interpreter.current()
    for name in ("common", *(f"own-{number}" for number in range(PROCESSES))):
        interpreter.create_venv(tmp_path / name)
    context = multiprocessing.get_context("spawn")
    answers, begin = context.Queue(), context.Barrier(PROCESSES)
    processes = [
        context.Process(
            target=work, args=(str(tmp_path), f"own-{number}", "common", index.url, begin, answers)
        )
        for number in range(PROCESSES)
    ]

    for process in processes:
        process.start()
    told = dict(answers.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(60)

    assert told == {f"own-{number}": "" for number in range(PROCESSES)}
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    fetched = Counter(request.path for request in index.requests if request.path.endswith(".whl"))
    assert fetched == {f"/files/{n}-{v}-py3-none-any.whl": 1 for n, (v, _) in GRAPH.items()}
    for name in ("common", *told):
        environment = Environment.at(tmp_path / name)
        assert versions(environment) == {name: version for name, (version, _) in GRAPH.items()}
        assert environment.check(deep=True) == ()
        assert leftovers(environment) == []
