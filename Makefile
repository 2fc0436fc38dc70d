# `make run` brings everything up on this machine; `make test` tests everything. Both install what
# is missing, or print the line that would.

SOURCES = CommandLine Services Shared Tests Package.swift Plugins

.PHONY: help run test soak release-check lint format bench bench-ingestion bench-ingestion-soak bench-identity bench-segmentation bench-consent clean

help:
	@echo "make run      everything up on a private PostgreSQL, with simulated shoppers, until Ctrl-C"
	@echo "make test     every test, against a private PostgreSQL, a real SMTP server and the real SDK"
	@echo "make soak     the same for longer: services away for a minute, more kills, more cases"
	@echo "make release-check   every release executable started and changed; takes a release build"
	@echo "make lint     check the formatting of every Swift source"
	@echo "make format   format every Swift source"
	@echo "make bench    measure the import of real orders, and event to mail"
	@echo "make bench-ingestion   events/s into ingestion, beside PostgreSQL alone"
	@echo "make bench-identity    matching of records beside Splink, look-ups beside pgbench"
	@echo "make bench-segmentation    twelve rules beside DuckDB and chDB, one event, memory, streams"
	@echo "make bench-consent    withdrawals beside pgbench, erasures of one person and of 10,000"
	@echo "make clean    stop and remove .martlet/ (all local data!) and the build"

run:
	@scripts/run.sh

test:
	@scripts/test.sh

soak:
	@MARTLET_STOP_SECONDS=60 MARTLET_STOP_RATE=150 MARTLET_KILLS=4 MARTLET_SCHEMATHESIS_EXAMPLES=100 \
		MARTLET_AWAY_SECONDS=60 MARTLET_INGESTION_KILLS=50 MARTLET_FUZZ_SECONDS=600 MARTLET_FULL_SECONDS=60 \
		MARTLET_SLOW_ROUNDS=6 MARTLET_RACE_PEOPLE=10000 MARTLET_SOAK_FACTOR=8 scripts/test.sh

release-check:
	@scripts/release-check.sh

lint:
	@swift format lint --strict --parallel --recursive $(SOURCES)
	@for script in scripts/*.sh .ci/run; do sh -n $$script 2>/dev/null || bash -n $$script || exit 1; done
	@echo "lint: nothing to say"

format:
	@swift format format --in-place --parallel --recursive $(SOURCES)

bench:
	@scripts/bench.sh

bench-ingestion:
	@scripts/bench.sh ingestion

bench-ingestion-soak:
	@scripts/bench.sh ingestion soak

bench-identity:
	@scripts/bench.sh identity

bench-segmentation:
	@scripts/bench.sh segmentation

bench-consent:
	@scripts/bench.sh consent

clean:
	@if [ -d .martlet/postgres ]; then scripts/postgres.sh remove .martlet/postgres; fi
	@if [ -d .martlet/test/postgres ]; then scripts/postgres.sh remove .martlet/test/postgres; fi
	@if [ -d .martlet/bench/postgres ]; then scripts/postgres.sh remove .martlet/bench/postgres; fi
	rm -rf .martlet .build
