"""Where the time of a plan went, and how large its program is."""

import sys

from planner.plan.in_hand import Plan
from planner.review.figures import number
from planner.review.report import Column, Section, percent
from planner.solve.size import size_of
from planner.solve.stages import THE_PLAN, Watch, spent

MOST_BLOCKS = 12
LEAST_SECONDS = 0.01
"""What took less has no row, but in JSON."""


def profile_section(watch: Watch) -> Section:
    """Processor seconds by stage, those of the solver apart."""
    rows = spent(watch)
    seconds, in_solver = sum(row.seconds for row in rows), sum(row.solver_seconds for row in rows)
    compared = sum(row.seconds for row in rows if row.part != THE_PLAN)
    lines = [
        f"{seconds:,.1f} s of the processor; in the solver {in_solver:,.1f} s, {percent(_share(in_solver, seconds))}"
    ]
    if compared:
        lines.append(f"for what the plan is compared with: {compared:,.1f} s, {percent(_share(compared, seconds))}")
    if (mib := most_mib()) is not None:
        lines.append(f"memory at most: {mib:,.0f} MiB")
    columns = (
        Column("part"),
        Column("stage"),
        Column("s", lambda row: number(row.seconds, ",.2f")),
        Column("share", lambda row: percent(row.fraction)),
        Column("s in the solver", lambda row: number(row.solver_seconds, ",.2f") if row.solver_seconds else None),
    )
    visible = [row for row in rows if row.seconds >= LEAST_SECONDS]
    return Section("PROFILE", tuple(lines), columns, visible, data=rows, most=None)


def _share(part: float, every: float) -> float:
    return part / every if every else 0.0


def most_mib() -> float | None:
    """Memory of this process at most [MiB]; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def size_section(plan: Plan) -> Section:
    """What was merged, what entered the program, and what its memory grows with."""
    size = size_of(plan.problem, plan.file.proof.binding_failures, plan.decisions)
    program = size.program
    lines = [
        f"{size.dominated_placements:,} of {size.placements:,} placements are dominated by others of their pool: "
        "they have no columns"
    ]
    lines += [
        f"{row.what}: {row.flows:,.0f} flows on {row.edges:,.0f} edges, merged {row.merged_flows:,.0f} on "
        f"{row.merged_edges:,.0f}: {row.factor:.1f} for one"
        for row in size.merged
    ]
    lines.append(
        f"{len(size.blocks) - 1} of {size.failures} failures are binding and in the program, {size.dominated} are "
        "dominated by harder ones and not tested"
    )
    if size.same_priced:
        lines.append(f"{size.same_priced} priced failures differ in nothing from another, and are one with it")
    lines.append(f"at the end: {program.columns:,} columns, {program.rows:,} rows, {program.terms:,} terms")
    if size.monolith_columns > program.columns:
        lines.append(f"with all failures it would have about {size.monolith_columns:,} columns")
    after = (
        f"memory of the program, solved: roughly {max(1.0, size.mib):,.0f} MiB; it grows with its terms: merged "
        "edges of the binding failures x their deadlines x hours",
        "tests take the edges of one failure at a time, whatever the number of failures",
    )
    columns = (Column("part of the program", lambda row: row.what), Column("columns"), Column("rows"), Column("terms"))
    return Section("SIZE", tuple(lines), columns, size.blocks, after, data=size, most=MOST_BLOCKS)
