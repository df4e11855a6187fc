"""Mutants of the mathematics and the drill, each against the tests that run its line; a sample takes minutes, not CI.

    python tests/mutants.py [--sample 300] [--seed 1] [--seconds 20] [--again FILE] [arguments of pytest: -m quick]

All tests are collected once; per mutant a forked process gives the functions their changed code and runs the tests that
came by the changed line, the cheapest first, until one fails. A mutant that takes more than `--seconds` of processor
time is killed, too, where it ran into that limit in a test that it makes endless, and is said to have survived where
its tests were merely many. What is outside of functions (constants, annotations) and what only words findings is left.
"""

import argparse
import ast
import copy
import functools
import gc
import itertools
import os
import pickle
import random
import resource
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("problem/rules/*", "problem/capacity", "problem/failures", "problem/build", "plan/audit*", "drill/*")
COMPARE = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
COMPARE |= {ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
OPPOSITE = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.BitOr: ast.BitAnd}
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor"}
WORDS = {"Finding", "Violation", "ValueError", "Broken", "InputError"}
SENSES = {"<=": ">=", ">=": "<=", "==": "<="}


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand for one node instead of it."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for table in (COMPARE, OPPOSITE):
            if type(node.ops[0]) in table:
                yield ast.Compare(node.left, [table[type(node.ops[0])]()], node.comparators)
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC and not isinstance(node.left, ast.JoinedStr):
        yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
        yield node.left
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for gone in range(len(node.values)):
            left = [v for n, v in enumerate(node.values) if n != gone]
            yield ast.BoolOp(node.op, left) if len(left) > 1 else left[0]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in SWAPPED:
        yield ast.Name(SWAPPED[node.id], ast.Load())
    elif isinstance(node, ast.Attribute) and node.attr in SWAPPED and isinstance(node.ctx, ast.Load):
        yield ast.Attribute(node.value, SWAPPED[node.attr], ast.Load())
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)
        yield ast.Constant(0 if node.value else -1)
    elif isinstance(node, ast.Constant) and node.value in SENSES:
        yield ast.Constant(SENSES[node.value])
    elif isinstance(node, ast.List | ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
        if any(isinstance(e, ast.Tuple) for e in node.elts):  # a sum's terms
            for gone in range(len(node.elts)):
                yield type(node)([e for n, e in enumerate(node.elts) if n != gone], ast.Load())
    elif isinstance(node, ast.comprehension) and node.ifs:
        yield ast.comprehension(node.target, node.iter, [], node.is_async)
    elif isinstance(node, ast.If):
        yield ast.If(ast.Constant(False), node.body, node.orelse)
        yield ast.If(ast.Constant(True), node.body, node.orelse)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield ast.Return(ast.Constant(None))
    elif isinstance(node, ast.AugAssign | ast.Assign) or (
        isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
    ):
        yield ast.Pass()


def places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """(parent, field, position, node) of everything inside functions, but for annotations and what words findings."""

    def inner(parent: ast.AST, inside: bool) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "decorator_list", "args") and not isinstance(parent, ast.Call):
                continue
            for at, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                words = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WORDS
                if not isinstance(node, ast.AST) or words or isinstance(node, ast.JoinedStr | ast.Raise):
                    continue
                function = isinstance(node, ast.FunctionDef)
                if inside and not function:
                    yield parent, field, at, node
                yield from inner(node, inside or function)

    yield from inner(tree, False)


def mutants(path: Path) -> Iterator[tuple[int, str, ast.AST]]:
    """(line, what is changed, the file's tree with it, until the next is asked for) of every mutant of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for parent, field, at, node in list(places(tree)):
        for new in changes(node):
            changed = ast.copy_location(copy.copy(new), node)
            line = node.iter.lineno if isinstance(node, ast.comprehension) else node.lineno  # type: ignore[attr-defined]
            put(parent, field, at, changed)
            yield line, f"{short(node)}  ->  {short(changed)}", tree
            put(parent, field, at, node)


def put(parent: ast.AST, field: str, at: int | None, node: ast.AST) -> None:
    if at is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[at] = node


def short(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())[:90]


def swap(path: Path, module: CodeType) -> int:
    """Give all functions of a file the code that they have in a changed module; how many differ."""

    def codes(code: CodeType) -> Iterator[CodeType]:
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                yield inner
                yield from codes(inner)

    new, done = {(c.co_qualname, c.co_firstlineno): c for c in codes(module)}, 0
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename == str(path):
            code = new.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
            if code is not None and code != function.__code__ and code.co_freevars == function.__code__.co_freevars:
                function.__code__ = code
                done += 1
    return done


class Run:
    """Takes the place of pytest's loop over tests."""

    def __init__(self, sample: int, seed: int, seconds: float, again: str) -> None:
        self.sample, self.seed, self.seconds, self.again = sample, seed, seconds, again
        self.failed = False

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.failed |= report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        files = [path for name in TARGETS for path in sorted((ROOT / "planner").glob(f"{name}.py"))]
        covering, cost = self._covering(session, files)
        every = [(path, n) for path in dict.fromkeys(files) for n, _ in enumerate(mutants(path))]
        some = sorted(random.Random(self.seed).sample(every, min(self.sample, len(every))))
        counts: dict[str, int] = defaultdict(int)
        for path, n in some:
            line, what, tree = next(itertools.islice(mutants(path), n, None))
            if ast.dump(tree) == ast.dump(ast.parse(path.read_text(encoding="utf-8"))):
                counts["the same"] += 1
                continue
            if self.again and f"{path.relative_to(ROOT)}:{line}  {what}" not in self.again:
                counts["not tried again"] += 1
                continue
            code = compile(ast.fix_missing_locations(tree), str(path), "exec")
            tests = sorted(covering.get((str(path), line), ()), key=lambda n: cost[n])
            found = self._verdict(session, path, code, tests, cost)
            counts[found.split(":")[0]] += 1
            if not found.startswith("killed"):
                print(f"\n{found}: {path.relative_to(ROOT)}:{line}  {what}", end="", flush=True)
        print(f"\n{len(some)} of {len(every)} mutants, seed {self.seed}:", dict(counts), flush=True)
        return True

    def _test(self, session: Any, n: int) -> None:
        """Run one test, with what it needs of fixtures set up and torn down."""
        item = session.items[n]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)

    def _covering(self, session: Any, files: list[Path]) -> tuple[dict[tuple[str, int], list[int]], list[float]]:
        """(file, line) -> tests that run it; seconds of each test. In a process of its own: no cache stays."""
        names = {str(path) for path in files}
        with tempfile.TemporaryFile() as out:
            if (child := os.fork()) == 0:
                seen: dict[tuple[str, int], list[int]] = defaultdict(list)
                cost = []
                caches = [c for c in gc.get_objects() if isinstance(c, functools._lru_cache_wrapper)]
                for n in range(len(session.items)):
                    for cache in caches:  # what a test has of another's work is run for it, too
                        cache.cache_clear()
                    lines: set[tuple[str, int]] = set()

                    def inside(frame: Any, event: str, _: Any, lines: Any = lines) -> Any:
                        lines.add((frame.f_code.co_filename, frame.f_lineno))
                        return inside

                    def calls(frame: Any, event: str, _: Any, inside: Any = inside) -> Any:
                        return inside if frame.f_code.co_filename in names else None

                    began = time.process_time()
                    sys.settrace(calls)
                    self._test(session, n)
                    sys.settrace(None)
                    cost.append(time.process_time() - began)
                    if self.failed:
                        print(f"\n{session.items[n].nodeid} fails without any change", flush=True)
                        self.failed = False
                        continue
                    for key in lines:
                        seen[key].append(n)
                pickle.dump((dict(seen), cost), out)
                out.flush()
                os._exit(0)
            os.waitpid(child, 0)
            out.seek(0)
            covering, cost = pickle.load(out)
        print(f"\n{len(cost)} tests, {sum(cost):.0f} s of processor time with the trace", flush=True)
        return covering, cost

    def _verdict(self, session: Any, path: Path, code: CodeType, tests: list[int], cost: list[float]) -> str:
        if not tests:
            return "survived: no test runs it"
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.close(reading)
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            resource.setrlimit(resource.RLIMIT_CPU, (int(self.seconds), int(self.seconds) + 5))
            signal.alarm(int(20 * self.seconds))
            if not swap(path, code):
                os._exit(2)
            for n in tests:
                os.write(writing, b".")
                try:
                    self._test(session, n)
                except BaseException:
                    self.failed = True
                if self.failed:
                    os._exit(1)
            os._exit(0)
        os.close(writing)
        _, status = os.waitpid(child, 0)
        ran = len(os.read(reading, 1 << 20))
        os.close(reading)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 2:
            return "left: not in a function that can be changed"
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return f"survived: {ran} tests"
        if os.WIFSIGNALED(status) and sum(cost[n] for n in tests[:ran]) > self.seconds / 2:
            return f"survived: {ran} of {len(tests)} tests in the time"
        return "killed"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--again", type=Path, help="what an earlier run printed: only its survivors are tried")
    asked, rest = parser.parse_known_args()
    run = Run(asked.sample, asked.seed, asked.seconds, asked.again.read_text(encoding="utf-8") if asked.again else "")
    os.chdir(ROOT)
    usual = ["-p", "no:cacheprovider", "-p", "no:terminal", "-o", "addopts=--strict-markers", "--capture=no"]
    sys.exit(pytest.main([*usual, *(rest or ["-m", "quick"])], plugins=[run]))
