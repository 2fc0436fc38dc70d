import Models
import Postgres
import Sealing
import SegmentationDomain
import Streams
import Synchronization

/// The rules in force, compiled, kept in memory, and never older than the transaction that uses them.
final class SegmentRegistry: Sendable {
    /// What states and changes are sealed with.
    let vault: Vault
    /// What the places in stored states mean.
    let layouts = StateLayouts()
    private let cached: Mutex<SegmentDecider?> = Mutex(nil)

    init(vault: Vault) { self.vault = vault }

    /// The decider for this transaction. Until the transaction ends no definition can change.
    func decider(in transaction: PostgresTransaction) async throws -> SegmentDecider {
        // Two statements, so that the second sees what the first may have waited for.
        let replies = try await transaction.pipeline([
            "SELECT pg_advisory_xact_lock_shared(\(SegmentStore.lock))", "SELECT revision FROM segment_set",
        ])
        guard let row = replies[1].first else { throw RetryLater("the segmentation schema is not migrated") }
        let revision: Int64 = try row.get("revision")
        if let decider = cached.withLock({ $0 }), decider.set.revision == revision { return decider }
        let decider = SegmentDecider(try await load(revision: revision, in: transaction))
        cached.withLock { $0 = decider }
        return decider
    }

    private func load(revision: Int64, in transaction: PostgresTransaction) async throws -> SegmentSet {
        let rows = try await transaction.query(
            """
            SELECT id, version, rule, live_at, first_version, next_version, next_rule FROM segment
            WHERE deleted_at IS NULL ORDER BY id
            """)
        var (inForce, next): ([SegmentDefinition], [SegmentDefinition]) = ([], [])
        for row in rows {
            let id: String = try row.get("id")
            let first: Int = try row.get("first_version")
            inForce.append(
                SegmentDefinition(
                    id: id, version: try row.get("version"),
                    condition: try Self.condition(try row.get("rule"), of: id), since: try row.get("live_at"),
                    firstVersion: first))
            guard let version = try row.get("next_version", as: Int?.self) else { continue }
            next.append(
                SegmentDefinition(
                    id: id, version: version, condition: try Self.condition(try row.get("next_rule"), of: id),
                    firstVersion: first))
        }
        let scores = try await ScoreStore(transaction).definitions()
        let stages = try await StageStore(transaction).definitions()
        inForce += scores.inForce + stages.inForce
        next += scores.next + stages.next
        return SegmentSet(revision: revision, inForce: inForce, next: next)
    }

    private static func condition(_ rule: JSON, of id: String) throws -> Condition {
        do { return try RuleReader.read(stored: rule) } catch {
            // A newer instance may have stored what this one cannot read; its members must not leave for that.
            let path = error.problems.first?.path.description ?? ""
            throw RetryLater("the rule of segment \(id) cannot be read by this version, at `\(path)`")
        }
    }
}
