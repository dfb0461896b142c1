"""The printed figures of the paper against themselves."""

import pytest

from skneg._registry import DETECTORS
from skneg.benchmarks import _paper
from skneg.benchmarks._paper import FAR, HARD, METHODS

TABLE_2, TABLE_3, TABLE_4, TABLE_5 = (_paper.TABLES[n] for n in "2345")
TABLES = {"2": TABLE_2, "3": TABLE_3, "5": TABLE_5}


def test_the_wrong_averages_are_these_and_no_others():
    corrected = {
        (table, method, metric, printed, round(mean + 1e-9, 2))
        for table, rows in TABLES.items()
        for method, row in rows.items()
        for metric, printed, mean, wrong in zip(
            ("AUROC", "FPR95"), row.printed, row.average, row.corrected, strict=True
        )
        if wrong
    }
    assert corrected == {
        ("2", "MCM", "FPR95", 42.74, 41.99),
        ("2", "MSP", "AUROC", 74.98, 74.68),
        ("2", "MSP", "FPR95", 76.22, 76.08),
        ("2", "CoOp", "FPR95", 51.68, 38.94),
        ("2", "LoCoOp(10%)", "AUROC", 90.15, 91.72),
    }


@pytest.mark.parametrize("table", TABLES)
def test_averages_that_are_not_corrected_are_those_of_their_entries(table):
    for row in TABLES[table].values():
        columns = (row.auroc.values(), row.fpr95.values())
        for entries, mean, wrong in zip(columns, row.average, row.corrected, strict=True):
            assert mean == pytest.approx(sum(entries) / 4, abs=0 if wrong else 0.0076)


def test_every_row_is_complete():
    assert len(TABLE_2) == len(TABLE_3) == 13
    assert TABLE_2.keys() == TABLE_3.keys()
    assert len(TABLE_5) == 6
    for rows, columns in ((TABLE_2, FAR), (TABLE_3, HARD), (TABLE_5, FAR)):
        for row in rows.values():
            assert tuple(row.auroc) == tuple(row.fpr95) == columns
            assert all(50 < auroc <= 100 for auroc in row.auroc.values())
            assert all(0 <= fpr <= 100 for fpr in row.fpr95.values())
    assert all(row.accuracy is not None for row in TABLE_5.values())
    assert set(METHODS) <= set(DETECTORS)
    assert set(METHODS.values()) <= set(TABLE_2)
    assert set(TABLE_4) <= set(TABLE_2)


def test_table_5_repeats_the_open_vocabulary_row_of_table_2():
    one, other = TABLE_5["reference"], TABLE_2["NegPrompt(10%)"]
    assert (one.auroc, one.fpr95) == (other.auroc, other.fpr95)
