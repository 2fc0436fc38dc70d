import IdentityDomain
import Models
import Postgres
import Streams

@testable import IdentityServer

enum JournalError: Error {
    /// It tells of a profile or a merge that nothing in it has made.
    case notUnderstood
}

/// What was committed, in an order in which it could have happened one after the other: each transaction takes its number
/// last, when it holds every lock, so whoever waited for one of them has a greater one. What is rolled back leaves nothing.
struct Journal {
    enum Act {
        case batch([TrackingEvent])
        case join(ProfileID, ProfileID)
        case undo(ProfileID, ProfileID)
        case allow(ProfileID, ProfileID)
    }

    private let database: IdentityDatabase
    private let merging: Merging

    init(in database: IdentityDatabase) async throws {
        self.database = database
        merging = Merging(resolution: database.resolution, key: IdentityDatabase.key)
        try await database.owner.execute(
            """
            CREATE TABLE identity.journal (
                number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL, names text[] NOT NULL)
            """)
        try await database.owner.execute("GRANT INSERT ON identity.journal TO martlet_identity")
    }

    /// A message that is received twice is two events.
    static func name(of event: TrackingEvent) -> String {
        "\(event.messageID) \(event.receivedAt.milliseconds)"
    }

    func note(_ batch: StreamBatch, in transaction: PostgresTransaction) async throws {
        let names = try batch.records.map { Self.name(of: try TrackingEvent(json: $0.body)) }
        try await note("batch", names, in: transaction)
    }

    private func note(_ kind: String, _ names: [String], in transaction: PostgresTransaction) async throws {
        try await transaction.execute(
            "INSERT INTO identity.journal (kind, names) VALUES (\(kind), \(names)::text[])")
    }

    /// Everything, in its order.
    func acts(_ events: [String: TrackingEvent]) async throws -> [Act] {
        try await database.owner.query("SELECT kind, names FROM identity.journal ORDER BY number").map {
            row in
            let names: [String] = try row.get("names")
            if try row.get("kind", as: String.self) == "batch" {
                return .batch(
                    try names.map { name in
                        guard let event = events[name] else { throw JournalError.notUnderstood }
                        return event
                    })
            }
            let ids = names.compactMap { ProfileID($0) }
            guard ids.count == 2 else { throw JournalError.notUnderstood }
            return switch try row.get("kind", as: String.self) {
            case "join": .join(ids[0], ids[1])
            case "undo": .undo(ids[0], ids[1])
            default: .allow(ids[0], ids[1])
            }
        }
    }

    // MARK: What operators do

    /// Joins two profiles at random.
    func join(using generator: inout SeededGenerator) async throws {
        let rows = try await database.owner.query(
            "SELECT profile_id FROM profiles.profile ORDER BY profile_id")
        let ids: [ProfileID] = try rows.map { try $0.get("profile_id") }
        guard let left = ids.randomElement(using: &generator),
            let right = ids.randomElement(using: &generator)
        else { return }
        let number = generator.next()
        try await again { transaction in
            let order = MergeOrder(
                id: MergeID(UUIDv7.derived(at: start, from: "journal", String(number))),
                cause: ["kind": "operator"], at: start, isExplicit: true)
            _ = try await merging.merge(left, with: right, because: order, in: transaction)
            try await note("join", [left.description, right.description], in: transaction)
        }
    }

    /// Takes back a merge at random.
    func undo(using generator: inout SeededGenerator) async throws {
        guard let id = try await merge("undone_at IS NULL", using: &generator) else { return }
        try await again { transaction in
            let merge = try await merging.undo(
                id, StoredMerge.Step(at: start, by: "test", note: nil), in: transaction)
            try await note(
                "undo", [merge.survivorMember.description, merge.mergedMember.description], in: transaction)
        }
    }

    /// Allows one at random, or none. An operator who allows a merge while others decide about the two takes effect
    /// with them or after them, so nobody else is at work here.
    func allow(using generator: inout SeededGenerator) async throws {
        guard Bool.random(using: &generator),
            let id = try await merge("undone_at IS NOT NULL AND allowed_at IS NULL", using: &generator)
        else { return }
        try await again { transaction in
            let merge = try await merging.allow(
                id, StoredMerge.Step(at: start, by: "test", note: nil), in: transaction)
            try await note(
                "allow", [merge.survivorMember.description, merge.mergedMember.description], in: transaction)
        }
    }

    private func merge(_ which: SQL, using generator: inout SeededGenerator) async throws -> MergeID? {
        try await database.owner.query("SELECT merge_id FROM profiles.merge WHERE \(which) ORDER BY ordinal")
            .randomElement(using: &generator)?.get("merge_id")
    }

    /// Until it is done, or can't be: the two are one already, or another operator was faster.
    private func again(_ act: (PostgresTransaction) async throws -> Void) async throws {
        while true {
            do {
                return try await database.pool.transaction { try await act($0) }
            } catch is MergeRefusal {
                return
            } catch is UndoRefusal {
                return
            } catch is RetryLater {
                await Task.yield()
            } catch let error as PostgresError where error.isTransient {
                await Task.yield()
            }
        }
    }
}
