import Postgres

/// How the endpoints are doing that identity tells of profiles.
struct WebhookChecks {
    let pool: PostgresPool

    func run() async throws -> [Finding] {
        let known = try await pool.query(
            "SELECT to_regclass('identity.webhook_endpoint') IS NOT NULL AS there")
        guard try known.first?.get("there", as: Bool.self) == true else { return [] }
        let rows = try await pool.query(
            """
            SELECT endpoint_id::text AS id, enabled, coalesce(disabled_reason, '') AS reason, failures
            FROM identity.webhook_endpoint
            WHERE NOT enabled AND disabled_reason <> 'operator' OR enabled AND failures >= 5
            ORDER BY endpoint_id
            """)
        let findings = try rows.map { row in
            let id = try row.get("id", as: String.self)
            return try row.get("enabled", as: Bool.self)
                ? Finding.warning(
                    "webhooks",
                    "endpoint \(id) has failed \(try row.get("failures", as: Int64.self)) times in a row",
                    mend: "see GET /v1/webhook-endpoints/\(id)/deliveries for what it answers")
                : Finding.problem(
                    "webhooks", "endpoint \(id) is disabled (\(try row.get("reason", as: String.self)))",
                    mend:
                        #"mend the receiver, then PATCH /v1/webhook-endpoints/\#(id) with {"enabled": true}"#)
        }
        return findings.isEmpty ? [.fine("webhooks", "no endpoint fails")] : findings
    }
}
