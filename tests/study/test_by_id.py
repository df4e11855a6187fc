"""Records by id, made once for a study, and the calendar of a horizon."""

import pickle
from pathlib import Path

from planner.study.calendar import calendar, spans
from planner.study.read import read_study
from planner.study.records.study import Study

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


def test_records_by_id_leave_no_trace_in_a_study_and_not_in_its_copies() -> None:
    study, _ = read_study(QUICKSTART)
    dump = study.model_dump_json()
    asked = Study.model_validate_json(dump)
    by_id = {
        "machine_types": asked.machine_type_by_name,
        "sites": asked.site_by_id,
        "pools": asked.pool_by_id,
        "offers": asked.offer_by_id,
        "prices": asked.price_by_offer,
        "workloads": asked.workload_by_name,
        "tiers": asked.tier_by_name,
        "build_outs": asked.build_out_by_id,
    }
    for field, records in by_id.items():
        assert tuple(records.values()) == getattr(asked, field), field
    assert asked.site_by_id is asked.site_by_id
    assert asked == study == pickle.loads(pickle.dumps(asked)) and asked.model_dump_json() == dump
    fewer = asked.model_copy(update={"sites": asked.sites[:1]})
    assert list(fewer.site_by_id) == [asked.sites[0].id] and len(asked.site_by_id) > 1


def test_the_calendar_is_made_once_for_a_horizon() -> None:
    study, _ = read_study(QUICKSTART)
    assert spans(study) is calendar(study.horizon.model_copy())
