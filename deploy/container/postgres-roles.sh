#!/bin/sh
# Run by `migrate` in compose.yaml after the tables are there: lets each service's role log in with its password.
set -eu
for service in ingestion identity consent segmentation recommendation journeys delivery; do
    psql "$MARTLET_OWNER_DATABASE_URL" --quiet --set=ON_ERROR_STOP=1 --set=password="$ROLE_PASSWORD" \
        --set=role="martlet_$service" <<'SQL'
ALTER ROLE :"role" LOGIN PASSWORD :'password';
SQL
done
