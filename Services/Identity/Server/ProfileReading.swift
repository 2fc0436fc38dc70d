import FoundationEssentials
import Models
import Postgres
import ProfileStore

/// Puts together what is known of people. Everything of one answer is read from one snapshot.
struct ProfileReading {
    let store: ProfileStore
    let pool: PostgresPool
    private let people = PeopleStore()
    private var timeline: TimelineStore { TimelineStore(vault: store.vault) }
    private let search: SearchStore
    /// Entries of the timeline that come with a profile.
    private static let recentEntries = 20
    /// Profiles that one page of a search looks at.
    private static let mostExamined = 2_000

    init(store: ProfileStore, pool: PostgresPool) {
        self.store = store
        self.pool = pool
        search = SearchStore(key: store.key)
    }

    /// The profile as the API shows it; nil when there is none, or nothing of it any more.
    func profile(_ id: ProfileID) async throws -> ProfileView? {
        try await store.known(of: id, in: pool).map { ProfileView($0) }
    }

    /// The profile with the sections that were asked for, and its version.
    func profile(_ id: ProfileID, with sections: Set<ProfileSection>) async throws -> (
        json: JSON, etag: String
    )? {
        // The usual sections come in one statement.
        if sections.isSubset(of: ProfileSection.usual) {
            return try await profile(id).map { ($0.json(with: sections), $0.etag) }
        }
        return try await snapshot { transaction in
            guard let view = try await view(of: id, in: transaction) else { return nil }
            guard case .object(var members) = view.json(with: sections) else { return nil }
            if sections.contains(.consent) {
                members["consent"] = .object(
                    try await store.consents(of: view.person, in: transaction).mapValues(Self.json))
            }
            if sections.contains(.segments) {
                members["segments"] = .array(
                    try await store.memberships(of: view.person, in: transaction).map(Self.json))
            }
            if sections.contains(.stage) {
                members["stage"] =
                    try await store.stage(of: view.person, in: transaction).map(Self.json) ?? .null
            }
            if sections.contains(.timeline) {
                let page = try await timeline.page(
                    of: view.person.memberIDs, matching: TimelineFilter(), at: nil,
                    limit: Self.recentEntries, in: transaction)
                members["timeline"] = page.json
            }
            return (.object(members), view.etag)
        }
    }

    /// The profile that an identifier leads to.
    func profile(of identifier: Identifier) async throws -> ProfileView? {
        try await store.known(by: identifier, in: pool).map { ProfileView($0) }
    }

    /// The profiles that identifiers lead to.
    func profiles(of identifiers: Set<Identifier>) async throws -> [Identifier: ProfileView] {
        try await snapshot { transaction in
            let ids = try await store.canonicalIDs(of: identifiers, in: transaction)
            let views = Dictionary(
                try await views(of: Array(Set(ids.values)), in: transaction).map {
                    ($0.person.profileID, $0)
                },
                uniquingKeysWith: { first, _ in first })
            return ids.compactMapValues { views[$0] }
        }
    }

    /// Up to `limit` profiles after the one given, and whether there are more.
    func profiles(after position: ProfileID?, limit: Int) async throws -> (items: [JSON], next: ProfileID?) {
        try await snapshot { transaction in
            let ids = try await people.page(after: position, limit: limit + 1, in: transaction)
            let shown = Array(ids.prefix(limit))
            let items = try await views(of: shown, in: transaction).map(\.json)
            return (items, ids.count > limit ? shown.last : nil)
        }
    }

    /// Up to `limit` profiles that match, after the one given, and where to go on; nil when that was all.
    func profiles(
        matching query: SearchQuery, after position: ProfileID?, limit: Int
    ) async throws -> (items: [JSON], next: ProfileID?) {
        try await snapshot { transaction in
            var items: [JSON] = []
            var position = position
            var examined = 0
            while true {
                // What the index finds matches as a rule; only long or outdated words are told apart here.
                let ids = try await search.candidates(
                    query, after: position, limit: limit + 1, in: transaction)
                for view in try await views(of: ids, in: transaction) {
                    if items.count == limit { return (items, position) }
                    let identifiers = view.identifiers.map(\.identifier)
                    if query.matches(identifiers: identifiers, traits: view.values) {
                        items.append(view.json)
                    }
                    position = view.person.profileID
                }
                examined += ids.count
                guard ids.count > limit, let last = ids.last else { return (items, nil) }
                position = last
                if items.count == limit || examined > Self.mostExamined { return (items, last) }
            }
        }
    }

    /// A page of a person's timeline, the latest first; nil when there is no such person.
    func timeline(
        of id: ProfileID, matching filter: TimelineFilter, at place: TimelinePlace?, limit: Int
    ) async throws -> TimelinePage? {
        try await snapshot { transaction in
            guard let person = try await store.person(id, in: transaction), person.erasedAt == nil else {
                return nil
            }
            return try await timeline.page(
                of: person.memberIDs, matching: filter, at: place, limit: limit, in: transaction)
        }
    }

    /// The profile as the API shows it, read in a transaction of the caller's.
    func view(of id: ProfileID, in transaction: PostgresTransaction) async throws -> ProfileView? {
        try await views(of: [id], in: transaction).first
    }

    /// A profile without those that it is one person with; nil when there is none, or nothing of it any more.
    func ownView(of id: ProfileID, in transaction: PostgresTransaction) async throws -> ProfileView? {
        guard let person = try await store.person(id, in: transaction), person.erasedAt == nil else {
            return nil
        }
        return ProfileView(
            person: person, identifiers: try await store.identifiers(of: [id], in: transaction),
            traits: try await store.storedTraits(of: [id], in: transaction))
    }

    /// The profiles that there are, in the order of the ids.
    func views(of ids: [ProfileID], in transaction: PostgresTransaction) async throws -> [ProfileView] {
        let found = try await store.people(ids, in: transaction).filter { $0.value.erasedAt == nil }
        let memberIDs = found.values.flatMap(\.memberIDs)
        guard !memberIDs.isEmpty else { return [] }
        let identifiers = Dictionary(
            grouping: try await store.identifiers(of: memberIDs, in: transaction), by: \.profileID)
        let traits = Dictionary(
            grouping: try await store.storedTraits(of: memberIDs, in: transaction), by: \.profileID)
        return ids.compactMap { found[$0] }.map { person in
            ProfileView(
                person: person, identifiers: person.memberIDs.flatMap { identifiers[$0] ?? [] },
                traits: person.memberIDs.flatMap { traits[$0] ?? [] })
        }
    }

    private func snapshot<T>(_ body: (PostgresTransaction) async throws -> T) async throws -> T {
        try await pool.transaction(isolation: .repeatableRead) { try await body($0) }
    }

    private static func json(_ consent: StoredConsent) -> JSON {
        [
            "state": .string(consent.state.rawValue), "at": .string(consent.at.rfc3339),
            "ledgerEntry": .string(consent.ledgerEntry.hyphenated),
        ]
    }

    private static func json(_ membership: StoredMembership) -> JSON {
        [
            "segment": .string(membership.segment), "version": .integer(Int64(membership.version)),
            "enteredAt": .string(membership.enteredAt.rfc3339),
        ]
    }

    private static func json(_ stage: StoredStage) -> JSON {
        [
            "stage": .string(stage.stage), "version": .integer(Int64(stage.version)),
            "enteredAt": .string(stage.enteredAt.rfc3339),
        ]
    }
}
