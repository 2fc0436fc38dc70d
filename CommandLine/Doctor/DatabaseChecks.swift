import Models
import Postgres
import ServiceKit

/// What the database says about the installation's health.
struct DatabaseChecks {
    let pool: PostgresPool

    func run() async throws -> [Finding] {
        var findings = try await server()
        guard try await isMigrated() else {
            findings.append(
                .problem(
                    "migrations", "the database holds no installation",
                    mend: "run `martlet up` or `martlet migrate`"))
            return findings
        }
        findings += try await migrations()
        findings += try await clock()
        findings += try await streams()
        findings += try await quarantine()
        findings += try await outboxes()
        findings += try await WebhookChecks(pool: pool).run()
        return findings
    }

    private func server() async throws -> [Finding] {
        let rows = try await pool.query(
            """
            SELECT name, setting FROM pg_settings
            WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit', 'server_version_num', 'max_connections')
            """)
        var settings: [String: String] = [:]
        for row in rows {
            settings[try row.get("name", as: String.self)] = try row.get("setting", as: String.self)
        }
        var findings: [Finding] = []
        let version = Int(settings["server_version_num"] ?? "") ?? 0
        findings.append(
            version >= 150_000
                ? .fine("PostgreSQL", "answers, version \(version / 10_000).\(version % 10_000)")
                : .problem("PostgreSQL", "is version \(version / 10_000)", mend: "upgrade it to 15 or later"))
        for name in ["fsync", "full_page_writes", "synchronous_commit"] {
            findings.append(
                settings[name] != "off"
                    ? .fine(name, settings[name] ?? "on")
                    : .problem(
                        name, "is off: what was acknowledged can be lost, and services refuse to be ready",
                        mend: "set \(name) = on in postgresql.conf and reload"))
        }
        let used =
            try await pool.query(
                "SELECT count(*) AS n FROM pg_stat_activity WHERE backend_type = 'client backend'"
            )
            .first?.get("n", as: Int64.self) ?? 0
        let most = Int64(settings["max_connections"] ?? "") ?? 0
        findings.append(
            used * 10 < most * 9
                ? .fine("connections", "\(used) of \(most)")
                : .warning(
                    "connections", "\(used) of \(most) are in use",
                    mend: "raise max_connections, or lower MARTLET_DATABASE_CONNECTIONS of the services"))
        return findings
    }

    private func isMigrated() async throws -> Bool {
        try await pool.query("SELECT to_regclass('platform.installation') IS NOT NULL AS there").first?
            .get("there", as: Bool.self) ?? false
    }

    private func migrations() async throws -> [Finding] {
        var versions: [String] = []
        var missing: [ServiceName] = []
        for service in ServiceName.deployed {
            let there =
                try await pool.query(
                    "SELECT to_regclass(\(service.schema + ".schema_migration")::text) IS NOT NULL AS there"
                ).first?.get("there", as: Bool.self) ?? false
            guard there,
                let version = try await pool.query(
                    "SELECT max(version) AS version FROM \(unsafe: service.schema).schema_migration"
                ).first?.get("version", as: Int?.self)
            else {
                missing.append(service)
                continue
            }
            versions.append("\(service.rawValue) \(version)")
        }
        if missing.isEmpty { return [.fine("migrations", versions.joined(separator: ", "))] }
        return [
            .problem(
                "migrations", "there are no tables of \(missing.map(\.rawValue).joined(separator: ", "))",
                mend: "run `martlet migrate`")
        ]
    }

    private func clock() async throws -> [Finding] {
        let row = try await pool.query(
            """
            SELECT (SELECT rehearsal FROM platform.installation) AS rehearsal,
                   (SELECT now FROM platform.clock) AS rehearsed, clock_timestamp() AS now
            """
        ).first
        guard let row, let rehearsal = try row.get("rehearsal", as: Bool?.self) else {
            return [.problem("clock", "the installation was never created", mend: "run `martlet up`")]
        }
        if rehearsal {
            guard let now = try row.get("rehearsed", as: Instant?.self) else {
                return [
                    .problem(
                        "clock", "this is a rehearsal without a clock",
                        mend: "run `martlet up --rehearsal` again; it makes one")
                ]
            }
            return [.fine("clock", "a rehearsal: it is \(now.rfc3339) until `martlet clock advance`")]
        }
        let skew = try row.get("now", as: Instant.self) - Instant.fromSystemClock()
        let amount = abs(skew.milliseconds)
        return amount < 2_000
            ? [.fine("clock", "real time; PostgreSQL's differs by \(amount) ms")]
            : [
                .warning(
                    "clock",
                    "PostgreSQL's clock and this machine's differ by \(Duration.milliseconds(amount).text)",
                    mend: "let an NTP client keep both right (such as systemd-timesyncd or chrony)")
            ]
    }

    private func streams() async throws -> [Finding] {
        let observer = try await PlatformObserver(pool: pool)
        let look = try await observer.look()
        guard !look.lags.isEmpty || !look.due.isEmpty else {
            return [.fine("streams", "every consumer has read everything")]
        }
        // Behind is not stuck: see whether it moves.
        try await Task.sleep(for: .seconds(2))
        let later = try await observer.look()
        var findings: [Finding] = []
        for lag in later.lags {
            let before = look.lags.first { $0.consumer == lag.consumer && $0.stream == lag.stream }
            let moves = before.map { $0.records != lag.records } ?? true
            findings.append(
                moves
                    ? .fine(
                        "streams", "\(lag.consumer) has \(lag.records) of \(lag.stream) before it, and moves")
                    : .problem(
                        "streams",
                        "\(lag.consumer) has \(lag.records) of \(lag.stream) before it and does not move",
                        mend:
                            "see that \(lag.service) and the stream's publisher run, then .martlet/logs/\(lag.service).log"
                    ))
        }
        for (service, number) in later.due where look.due[service] == number {
            findings.append(
                .warning(
                    "deadlines", "\(number) deadlines of \(service) are due and have not fired",
                    mend: "see that \(service) runs, then .martlet/logs/\(service).log"))
        }
        return findings.isEmpty ? [.fine("streams", "every consumer moves")] : findings
    }

    private func quarantine() async throws -> [Finding] {
        var findings: [Finding] = []
        for service in ServiceName.deployed {
            let rows = try await pool.query(
                """
                SELECT stream, count(*) AS n, min(split_part(error, ': ~', 1)) AS error FROM \(unsafe: service.schema).stream_quarantine
                WHERE replayed_at IS NULL GROUP BY stream
                """)
            for row in rows {
                let number = try row.get("n", as: Int64.self)
                let stream = try row.get("stream", as: String.self)
                let error = try row.get("error", as: String.self)
                findings.append(
                    .warning(
                        "quarantine",
                        "\(service.rawValue) could not take \(number) records of \(stream): \(error.prefix(200))",
                        mend:
                            "see \(service.schema).stream_quarantine; nothing is lost, the records are kept there"
                    ))
            }
        }
        return findings.isEmpty ? [.fine("quarantine", "empty")] : findings
    }

    private func outboxes() async throws -> [Finding] {
        var findings: [Finding] = []
        for service in ServiceName.deployed {
            let row = try await pool.query(
                """
                SELECT count(*) FILTER (WHERE next_attempt_at = 'infinity') AS refused,
                       count(*) FILTER (WHERE next_attempt_at < 'infinity' AND attempts > 5) AS stuck,
                       max(last_error) AS error
                FROM \(unsafe: service.schema).outbox
                """
            ).first
            guard let row else { continue }
            let error = try row.get("error", as: String?.self) ?? "no error is known"
            let (stuck, refused) = (
                try row.get("stuck", as: Int64.self), try row.get("refused", as: Int64.self)
            )
            if stuck > 0 {
                findings.append(
                    .problem(
                        "outbox",
                        "\(stuck) calls of \(service.rawValue) have failed more than five times (\(error))",
                        mend:
                            "see that the service they go to runs: SELECT DISTINCT target FROM \(service.schema).outbox"
                    ))
            }
            if refused > 0 {
                findings.append(
                    .problem(
                        "outbox", "\(refused) calls of \(service.rawValue) were refused for good (\(error))",
                        mend:
                            "see \(service.schema).outbox where next_attempt_at = 'infinity'; set it to now() to try again"
                    ))
            }
        }
        return findings.isEmpty ? [.fine("outbox", "no call is stuck")] : findings
    }
}
