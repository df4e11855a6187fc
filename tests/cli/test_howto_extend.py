"""How to extend the planner: the pages are followed word for word in a copy of the repository."""

from following import ROOT, changed_lines, clone, follow

PAGES = ROOT / "docs" / "howto"


def test_add_an_output_target(tmp_path):
    folder, env = clone(tmp_path)
    follow(PAGES / "add-an-output-target.md", folder, env)
    assert changed_lines(folder) == {"planner/emit/known.py": 1, "planner/emit/spreadsheet.py": 0}


def test_add_a_section(tmp_path):
    folder, env = clone(tmp_path)
    follow(PAGES / "add-a-section.md", folder, env)
    assert changed_lines(folder) == {"planner/review/answer.py": 2, "planner/review/jurisdictions.py": 0}


def test_add_a_rule(tmp_path):
    folder, env = clone(tmp_path)
    follow(PAGES / "add-a-rule.md", folder, env)
    changed = changed_lines(folder)
    one_line = {"planner/problem/rules/register.py": 2, "planner/problem/rules/index_sets.py": 1}
    assert changed.items() >= one_line.items()
    assert set(changed) == {
        *one_line,
        "planner/study/records/policies.py",
        "planner/problem/decisions.py",
        "planner/problem/things.py",
        "planner/problem/rules/purchases.py",
        "planner/problem/rules/failures.py",
        "planner/drill/rules.py",
    }
