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
            "SELECT id, version, rule FROM segment WHERE deleted_at IS NULL ORDER BY id")
        let segments = try rows.map { row in
            let id: String = try row.get("id")
            do {
                let condition = try RuleReader.read(try row.get("rule", as: JSON.self))
                return SegmentDefinition(id: id, version: try row.get("version"), condition: condition)
            } catch let error as InvalidRule {
                // A newer instance may have stored what this one cannot read; its members must not leave for that.
                let path = error.problems.first?.path.description ?? ""
                throw RetryLater("the rule of segment \(id) cannot be read by this version, at `\(path)`")
            }
        }
        let scores = try await ScoreStore(transaction).definitions()
        let stages = try await StageStore(transaction).definitions()
        return SegmentSet(revision: revision, segments: segments + scores + stages)
    }
}
