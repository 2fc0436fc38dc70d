import IdentityDomain
import Models
import Postgres
import ProfileStore

/// Reads people as matching compares them. Values are read through the profile store alone and kept nowhere.
struct MatchingReading: Sendable {
    /// Somebody with what there is to compare.
    struct Record: Sendable {
        let profileID: ProfileID
        let updatedAt: Instant
        /// Whether there is a `userId`.
        let isKnown: Bool
        let values: [String?]
    }

    let reading: ProfileReading
    private let people = PeopleStore()

    init(reading: ProfileReading) { self.reading = reading }

    var pool: PostgresPool { reading.pool }

    /// The people after a position in an order that is always the same; those without anything to compare are left out.
    func page(
        after position: ProfileID?, limit: Int, _ mapping: MatchMapping
    ) async throws -> (records: [Record], count: Int, last: ProfileID?) {
        try await pool.transaction(isolation: .repeatableRead) { transaction in
            let ids = try await people.page(after: position, limit: limit, in: transaction)
            let views = try await reading.views(of: ids, in: transaction)
            return (views.compactMap { Self.record($0, mapping) }, ids.count, ids.last)
        }
    }

    /// People by their ids; nil for one who is not there any more, or of whom there is nothing to compare.
    func records(
        of ids: [ProfileID], _ mapping: MatchMapping
    ) async throws -> [(id: ProfileID, record: Record?)] {
        let views = try await views(of: ids)
        return ids.map { id in (id, views[id].flatMap { Self.record($0, mapping) }) }
    }

    /// What is known of canonical profiles, all at one instant.
    func views(of ids: [ProfileID]) async throws -> [ProfileID: ProfileView] {
        let views = try await pool.transaction(isolation: .repeatableRead) {
            try await reading.views(of: ids, in: $0)
        }
        return Dictionary(views.map { ($0.person.profileID, $0) }, uniquingKeysWith: { first, _ in first })
    }

    static func record(_ view: ProfileView, _ mapping: MatchMapping) -> Record? {
        let values = mapping.values(traits: view.values, identifiers: identifiers(of: view))
        return values.map {
            Record(
                profileID: view.person.profileID, updatedAt: view.person.updatedAt,
                isKnown: view.identifiers.contains { $0.identifier.kind == .userID }, values: $0)
        }
    }

    /// The address and the number that they were seen with last.
    static func identifiers(of view: ProfileView) -> MatchIdentifiers {
        MatchIdentifiers(view.identifiers.lazy.map(\.identifier))
    }
}

/// Columns of profiles, and of the records that are compared with them, while they are gathered.
struct MatchingColumns: Sendable {
    private(set) var ids: [ProfileID] = []
    /// Records, which stand behind all profiles.
    private(set) var records: [IdentifierPlace] = []
    private(set) var updatedAt: [Instant] = []
    private(set) var known: [Bool] = []
    private(set) var columns: [[String?]]

    init(_ mapping: MatchMapping) {
        columns = Array(repeating: [], count: mapping.columns.count)
    }

    mutating func append(_ records: [MatchingReading.Record]) {
        for record in records {
            ids.append(record.profileID)
            updatedAt.append(record.updatedAt)
            known.append(record.isKnown)
            for (column, value) in record.values.enumerated() { columns[column].append(value) }
        }
    }

    /// Adds a record; no profile may come after it.
    mutating func append(_ record: IdentifierPlace, _ values: [String?]) {
        records.append(record)
        known.append(record.kind == .userID)
        for (column, value) in values.enumerated() { columns[column].append(value) }
    }

    var count: Int { known.count }

    func end(_ place: Int) -> MatchingEnd {
        place < ids.count ? .profile(ids[place]) : .record(records[place - ids.count])
    }
}
