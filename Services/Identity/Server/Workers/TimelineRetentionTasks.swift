import ConsentDomain
import Crypto
import Foundation
import Models
import Postgres
import ProfileStore
import ServiceKit

/// Lets go of what is on timelines longer than the retention policy has it kept.
///
/// Offsets stay without gaps, so an event's row remains. It says of its profile that something was withheld for the reason
/// `retention`, which nobody takes for anything: an erasure it must not seem to be.
struct TimelineRetentionTasks: Sendable {
    let policies: ConsentPolicyReader<ConsentPolicy>

    private static let prefix = "timeline "
    private let store = RetentionStore(schema: ServiceName.identity.schema)

    init(policies: ConsentPolicyReader<ConsentPolicy>) { self.policies = policies }

    func tasks(
        by current: CurrentRetention, at now: Instant, in pool: PostgresPool
    ) async throws -> [RetentionTask] {
        let consent = try await policies.recentIfAny(.seconds(1), in: pool)?.policy
        let needs = (consent?.requires[.events] ?? [:]).mapValues(\.purposes)
        let rules = current.policy.timelines(needs: needs, now: now)
        try await store.forgetPlaces(of: Self.prefix, but: rules.map(Self.cursor), in: pool)
        return rules.map { rule in
            let sweep = StreamSweep(store, task: Self.cursor(of: rule), table: "profiles.timeline")
            return RetentionTask(.timelineEvents, rule: rule.name, before: rule.boundary) {
                step, transaction in
                try await sweep.step(step, in: transaction) { shard, after, upTo in
                    try await Self.withhold(rule, on: shard, after: after, upTo: upTo, in: transaction)
                }
            }
        }
    }

    /// Names may be long, and that of a rule has all of them.
    private static func cursor(of rule: TimelineRetention) -> String {
        let digest = SHA256.hash(data: Data(rule.name.utf8))
        return prefix + hexadecimal(Array(Array(digest).prefix(16)))
    }

    private static let facts = SQL(
        unsafe: "('merge', 'mergedInto', 'unmerge', 'unmergedFrom', 'erased')")

    /// What was withheld of events goes by the time of all that has no time of its own: it isn't told there whose name it has.
    private static func withhold(
        _ rule: TimelineRetention, on shard: Shard, after: Int64, upTo: Int64,
        in transaction: PostgresTransaction
    ) async throws -> Int {
        var named: SQL = "true"
        if let events = rule.events {
            named = "CASE type WHEN 'track' THEN name ELSE 'type:' || type END = ANY(\(events)::text[])"
        } else if !rule.others.isEmpty {
            named =
                "coalesce(CASE type WHEN 'track' THEN name ELSE 'type:' || type END <> ALL(\(rule.others)::text[]), true)"
        }
        return try await transaction.execute(
            """
            UPDATE profiles.timeline
            SET body = json_build_object('kind', 'withheld', 'profileId', key, 'arrivedUnder', profile_id,
                    'messageId', '', 'at', \(rule.boundary.rfc3339)::text,
                    'items', json_build_array(json_build_object('reason', 'retention')))::text,
                type = 'withheld', name = NULL, message_id = NULL, source_id = NULL, traceparent = NULL,
                occurred_at = \(rule.boundary)
            WHERE shard = \(shard) AND "offset" > \(after) AND "offset" <= \(upTo)
                AND type NOT IN \(facts) AND NOT (type = 'withheld' AND message_id IS NULL) AND \(named)
            """)
    }
}
