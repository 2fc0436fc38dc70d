#!/bin/bash
# Fuzzes what reads the bytes of strangers, with libFuzzer and AddressSanitizer.
#
#   scripts/fuzz.sh [SECONDS]     20 seconds unless told; MARTLET_SEED repeats a run
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-20}
out=.martlet/fuzz
mkdir -p "$out/corpus"
flags=(-O -swift-version 6 -package-name martlet -parse-as-library -module-cache-path "$out/modules"
    -enable-upcoming-feature ExistentialAny -enable-upcoming-feature MemberImportVisibility
    -enable-upcoming-feature InternalImportsByDefault -enable-upcoming-feature NonisolatedNonsendingByDefault
    -sanitize=fuzzer,address -I "$out" -wmo)

compile() { # MODULE SOURCES…
    local module=$1
    shift
    swiftc "${flags[@]}" -module-name "$module" -emit-module -emit-module-path "$out/$module.swiftmodule" \
        -emit-object -o "$out/$module.o" "$@"
}

# Again only when something that it is made of has changed.
stamp=$(find Shared/Models Services/Consent/Domain Services/Ingestion/Domain Tests/Fuzz scripts/fuzz.sh -type f | sort | xargs cat | sha256sum)
if [ "$(cat "$out/stamp" 2>/dev/null || true)" != "$stamp" ]; then
    mapfile -t models < <(find Shared/Models -name '*.swift')
    mapfile -t domain < <(find Services/Ingestion/Domain -name '*.swift')
    compile Models "${models[@]}"
    mapfile -t consent < <(find Services/Consent/Domain -name '*.swift')
    compile ConsentDomain "${consent[@]}"
    compile IngestionDomain "${domain[@]}"
    swiftc "${flags[@]}" -module-name IngestionFuzz -o "$out/ingestion-fuzz" Tests/Fuzz/*.swift \
        "$out/Models.o" "$out/ConsentDomain.o" "$out/IngestionDomain.o" > "$out/link.log" 2>&1 || { tail -20 "$out/link.log" >&2; exit 1; }
    echo "$stamp" > "$out/stamp"
fi

cat > "$out/dictionary" <<'DICTIONARY'
"{\"type\":\"track\",\"event\":\"E\",\"userId\":\"u\"}"
"\"batch\":["
"\"timestamp\":\"2026-11-21T02:33:00Z\""
"\\u0000"
"\\ud83d"
"1e308"
"add_to_cart"
"\"items\":[{\"item_id\":\"1\"}]"
"\"properties\":{"
DICTIONARY
echo '{"batch":[{"type":"track","event":"purchase","userId":"u","properties":{"items":[{"item_id":"1"}]}}]}' > "$out/corpus/seed-batch"
echo '{"type":"identify","userId":"u","traits":{"email":"a@b.example"},"timestamp":"2026-11-21T02:33:00Z"}' > "$out/corpus/seed-item"
echo '{"type":"track","event":"E","messageId":"m","userId":"u","properties":{"a":[1.5,"b\\n"]},"context":{"ip":"1.2.3.4"}}' > "$out/corpus/seed-plain"
ASAN_OPTIONS=detect_leaks=0 "$out/ingestion-fuzz" -max_total_time="$seconds" -seed="${MARTLET_SEED:-1}" -max_len=4096 \
    -dict="$out/dictionary" -print_final_stats=1 -artifact_prefix="$out/" "$out/corpus" 2> "$out/log" || {
    tail -40 "$out/log" >&2
    echo "fuzz: found something; the input is in $out/ (crash-…)" >&2
    exit 1
}
grep -E "number_of_executed_units|peak_rss" "$out/log"
