package import Models
package import Postgres

/// Something that a service keeps no longer, and how it lets go of it.
package struct RetentionTask: Sendable {
    /// What one transaction is to do.
    package struct Step: Sendable {
        /// All of before it is to go.
        package let boundary: Instant
        /// How many rows may be looked at.
        package let limit: Int
        package let now: Instant
    }

    /// What one transaction has done.
    package struct Progress: Sendable {
        /// How many rows are gone, or empty.
        package var rows: Int
        /// Whether nothing is left of before the boundary.
        package var isDone: Bool

        package init(rows: Int, isDone: Bool) { (self.rows, self.isDone) = (rows, isDone) }
    }

    package typealias Act = @Sendable (Step, PostgresTransaction) async throws -> Progress

    package let kind: RetentionClass
    /// Tells it from others of its class; nil where it is the only one.
    package let rule: String?
    package let boundary: Instant
    let act: Act

    package init(
        _ kind: RetentionClass, rule: String? = nil, before boundary: Instant, _ act: @escaping Act
    ) {
        (self.kind, self.rule, self.boundary, self.act) = (kind, rule, boundary, act)
    }

    /// Deletes what is older than the policy has it kept; nil where it is kept. A statement that deletes less than the limit
    /// was the last.
    package init?(
        _ kind: RetentionClass, by policy: RetentionPolicy, at now: Instant,
        deleting: @escaping @Sendable (Step, PostgresTransaction) async throws -> Int
    ) {
        guard let boundary = policy.boundary(of: kind, now: now) else { return nil }
        self.init(kind, before: boundary) { step, transaction in
            let rows = try await deleting(step, transaction)
            return Progress(rows: rows, isDone: rows < step.limit)
        }
    }
}

/// What a service lets go of by a policy.
package typealias RetentionTasks =
    @Sendable (CurrentRetention, _ now: Instant, PostgresPool) async throws -> [RetentionTask]

/// The retention policy in force.
package struct CurrentRetention: Sendable {
    package let version: Int64
    package var policy: RetentionPolicy
    /// Whether nobody has written a policy yet.
    package let isInitial: Bool

    /// The policy in force; nil in an installation without a consent service.
    package static func read(in session: some PostgresSession) async throws -> CurrentRetention? {
        // A table that may come later.
        let found = try await session.query(
            "SELECT to_regclass('profiles.retention_policy') IS NOT NULL AS found")
        guard try found.first?.get("found", as: Bool.self) ?? false else { return nil }
        let rows = try await session.query(
            "SELECT version, body, created_by FROM profiles.retention_policy ORDER BY version DESC LIMIT 1")
        guard let row = rows.first else { return nil }
        return CurrentRetention(
            version: try row.get("version"),
            policy: try RetentionPolicy(json: JSONParser.parse(try row.get("body", as: String.self))),
            isInitial: try row.get("created_by", as: String.self) == "migration")
    }
}
