"""Splink (DuckDB) on a file of person records, for bench_identity_matching.py, in a virtual environment of its own.

    PYTHON splink_peer.py FILE.csv TRUTH column=field,… [--look-ups N]

The settings follow Splink's own examples for such data: comparisons of its library made for each kind of field, term
frequencies where it offers them, and a union of blocking rules of which each survives other mistakes. Prints one line
of JSON: seconds, and F1 of pairs and of clusters at the best of several thresholds, so that Splink is not held to one
that was chosen for Martlet.
"""

import argparse
import json
import logging
import time
from pathlib import Path

import duckdb
import pandas as pd
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

logging.disable(logging.WARNING)
THRESHOLDS = [0.5, 0.8, 0.9, 0.95, 0.99, 0.999]

# On what each kind of field is worth blocking, alone and with others.
BLOCKING = [
    ["given_name", "surname"], ["surname", "date_of_birth"], ["given_name", "date_of_birth"],
    ["date_of_birth", "postcode"], ["surname", "postcode"], ["given_name", "postcode"], ["street", "street_number"],
    ["surname", "city"], ["phone"], ["email"], ["national_id"], ["date_of_birth"],
]
# Where records are few, one value in common is enough to be compared.
SMALL = [["given_name"], ["surname"], ["postcode"], ["street"]]


def comparisons(columns):
    """The comparison of Splink's library for each column; `columns` maps names of Martlet's fields to columns."""
    made = []
    if "givenName" in columns and "surname" in columns:
        made.append(cl.ForenameSurnameComparison(
            "given_name", "surname", forename_surname_concat_col_name="given_surname"))
    if "dateOfBirth" in columns:
        made.append(cl.DateOfBirthComparison("date_of_birth", input_is_string=True))
    plain = {
        "streetNumber": cl.ExactMatch("street_number"),
        "address": cl.JaroWinklerAtThresholds("street", [0.92, 0.8]),
        "city": cl.JaroWinklerAtThresholds("city", [0.92]),
        "postcode": cl.LevenshteinAtThresholds("postcode", [1, 2]),
        "state": cl.ExactMatch("state"),
        "phone": cl.LevenshteinAtThresholds("phone", [1, 2]),
        "nationalId": cl.LevenshteinAtThresholds("national_id", [1, 2]),
    }
    if "postcode" in columns:
        # Which says the same again, as Splink's advice on correlated columns has it.
        del plain["city"]
    for field, comparison in plain.items():
        if field in columns:
            made.append(comparison.configure(term_frequency_adjustments=True))
    if "email" in columns:
        made.append(cl.EmailComparison("email").configure(term_frequency_adjustments=True))
    return made


NAMES = {"givenName": "given_name", "surname": "surname", "dateOfBirth": "date_of_birth",
         "streetNumber": "street_number", "address": "street", "city": "city", "postcode": "postcode",
         "state": "state", "phone": "phone", "email": "email", "nationalId": "national_id"}


def read(path, fields):
    """The records, with the names that the settings use; dates as Splink wants them."""
    table = pd.read_csv(path, dtype=str, skipinitialspace=True, keep_default_na=False).replace("", None)
    table.columns = [column.strip() for column in table.columns]
    frame = pd.DataFrame({NAMES[field]: table[column] for column, field in fields.items()})
    if "date_of_birth" in frame:
        frame["date_of_birth"] = frame["date_of_birth"].str.replace(
            r"^(\d{4})(\d\d)(\d\d)$", r"\1-\2-\3", regex=True)
    if "surname" in frame and "given_name" in frame:
        frame["given_surname"] = frame["given_name"] + " " + frame["surname"]
    frame["unique_id"] = range(len(frame))
    return table, frame


def settings(fields, frame):
    wide = BLOCKING + (SMALL if len(frame) <= 20_000 else [])
    rules = [block_on(*rule) for rule in wide if all(column in frame for column in rule)]
    return SettingsCreator(
        link_type="dedupe_only", unique_id_column_name="unique_id", comparisons=comparisons(set(fields.values())),
        blocking_rules_to_generate_predictions=rules, retain_matching_columns=False)


def train(linker, frame):
    """As Splink's tutorial does: a prior of rules, u of random pairs, m by expectation and maximisation, twice."""
    sure = [rule for rule in (["email"], ["national_id"], ["given_name", "surname", "date_of_birth"])
            if all(column in frame for column in rule)]
    linker.training.estimate_probability_two_random_records_match([block_on(*rule) for rule in sure], recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    passes = [rule for rule in (["date_of_birth"], ["given_name", "surname"]) if all(c in frame for c in rule)]
    for rule in passes:
        linker.training.estimate_parameters_using_expectation_maximisation(
            block_on(*rule), max_pairs=1e6)


def quality(found, right, truth):
    if not found or not right:
        return {"precision": 0, "recall": 0, "f1": 0}
    return {"precision": right / found, "recall": right / truth, "f1": 2 * right / (found + truth)}


def pairs_of(column):
    counts = column.value_counts()
    return int((counts * (counts - 1) // 2).sum())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("truth")
    parser.add_argument("columns")
    parser.add_argument("--look-ups", type=int, default=0)
    parser.add_argument("--memory", default="8GB")
    options = parser.parse_args()
    fields = dict(each.split("=") for each in options.columns.split(","))
    started = time.monotonic()
    table, frame = read(options.file, fields)
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{options.memory}'")
    api = DuckDBAPI(connection)
    linker = Linker(api.register(frame), settings(fields, frame))
    train(linker, frame)
    trained = time.monotonic()
    predictions = linker.inference.predict(threshold_match_probability=0.01)
    predicted = time.monotonic()
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predictions, threshold_match_probability=0.95)
    clustered = clusters.as_pandas_dataframe()
    ended = time.monotonic()
    result = {"seconds": ended - started, "training": trained - started, "predicting": predicted - trained}

    truth = table[options.truth]
    if options.truth == "rec_id":
        truth = truth.str.split("-").str[1]
    all_pairs = pairs_of(truth)
    frame = predictions.as_pandas_dataframe()
    same = truth.to_numpy()[frame["unique_id_l"]] == truth.to_numpy()[frame["unique_id_r"]]
    result["pairs"] = max(
        (quality(int((frame["match_probability"] >= bar).sum()),
                 int(same[(frame["match_probability"] >= bar).to_numpy()].sum()), all_pairs) | {"threshold": bar}
         for bar in THRESHOLDS), key=lambda each: each["f1"])
    best = []
    for bar in THRESHOLDS:
        clustered = linker.clustering.cluster_pairwise_predictions_at_threshold(
            predictions, threshold_match_probability=bar).as_pandas_dataframe()
        both = clustered["cluster_id"].astype(str) + "|" + truth.to_numpy()[clustered["unique_id"]]
        best.append(quality(pairs_of(clustered["cluster_id"]), pairs_of(both), all_pairs) | {"threshold": bar})
    result["clusters"] = max(best, key=lambda each: each["f1"])
    result["compared"] = len(frame)
    if options.look_ups:
        result["lookUps"] = look_ups(linker, api, options, fields)
    print(json.dumps(result))


def look_ups(linker, api, options, fields):
    """Seconds of looking one new record up, for records of the file as if they were new."""
    _, frame = read(options.file, fields)
    known = api.register(frame)
    took = []
    for number in range(options.look_ups):
        row = frame.iloc[[number * 997 % len(frame)]].copy()
        row["unique_id"] = 10**9 + number
        started = time.monotonic()
        linker.inference.predict_between(
            api.register(row), known, threshold_match_weight=0).as_record_list()
        took.append(time.monotonic() - started)
    return took


if __name__ == "__main__":
    main()
