import Models
import Postgres
import SegmentationDomain
import Streams
import ServiceKit
import Synchronization

/// The layouts of packed states, read when they are first needed.
final class StateLayouts: Sendable {
    private let known: Mutex<[UInt64: StateLayout]> = Mutex([:])
    /// Layouts that are held in memory: one, and the one before while states are brought to it.
    private static let limit = 16

    /// The layout of a key.
    func layout(_ key: UInt64, in session: some PostgresSession) async throws -> StateLayout {
        if key == StateLayout.empty.key { return .empty }
        if let layout = known.withLock({ $0[key] }) { return layout }
        let row = try await session.query(
            "SELECT layout FROM state_layout WHERE key = \(Int64(bitPattern: key))"
        ).first
        guard let row else { throw RetryLater("the layout of a stored state is not known") }
        let layout = try StateLayout(json: try row.get("layout"))
        guard layout.key == key else { throw RetryLater("the layout of a stored state does not read") }
        known.withLock { known in
            if known.count >= Self.limit { known = [:] }
            known[key] = layout
        }
        return layout
    }

    /// A statement that makes a set's layout known for good, together with the states that are of it. One that is known
    /// is not written, nor locked, so that nobody waits for anybody here.
    static func write(_ set: SegmentSet) -> SQL {
        """
        INSERT INTO state_layout (key, layout, revision)
        SELECT w.key, w.layout, w.revision
        FROM (VALUES (\(Int64(bitPattern: set.layout.key))::bigint, \(set.layout.json)::jsonb,
                      \(set.revision)::bigint)) AS w (key, layout, revision)
        WHERE NOT EXISTS (SELECT FROM state_layout s WHERE s.key = w.key AND s.revision >= w.revision)
        ON CONFLICT (key) DO UPDATE SET revision = excluded.revision
        WHERE state_layout.revision < excluded.revision
        """
    }

    /// A statement that forgets the layouts that no state is of, once all shards are done with the revisions after them, and
    /// nobody was left behind.
    static let sweep: SQL = """
        DELETE FROM state_layout
        WHERE revision < (SELECT min(done) FROM backfill) AND NOT EXISTS (SELECT FROM left_behind)
        """
}
