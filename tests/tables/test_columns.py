"""The columns' definitions, and the documents made from them."""

import column_tables

from harness.tables.columns import COLUMNS, ROWS, SUMMARY, names


def test_the_column_tables_of_the_readme_are_those_of_the_definitions(repository):
    text = (repository / "results" / "README.md").read_text(encoding="utf-8")
    assert column_tables.with_tables(text) == text


def test_every_column_has_a_name_of_its_own_and_stands_in_a_table():
    assert len(set(names(COLUMNS))) == len(COLUMNS)
    assert {*SUMMARY, *ROWS} == set(COLUMNS)


def test_a_summary_begins_with_the_columns_of_the_first_version_in_their_order():
    assert ",".join(names(SUMMARY)).startswith(
        "model,task,method,params,ratio,compression,bytes_per_token,transfers_elements,metric,higher_is_better,value,"
        "stderr,n,delta_dense,delta_stderr,delta_ci_low,delta_ci_high,first_difference,same_output,delta_nll,active,"
        "prompt_tokens,new_tokens,seconds,cell,run"
    )
