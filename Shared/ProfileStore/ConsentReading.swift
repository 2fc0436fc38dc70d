package import FoundationEssentials
package import Models
package import Postgres

/// What a person has decided about a purpose.
package struct StoredConsent: Hashable, Sendable {
    /// The profile under which the decision is kept.
    package var profileID: ProfileID
    package var purpose: String
    package var state: ConsentChange.State
    package var at: Instant
    /// The entry in the ledger that proves it.
    package var ledgerEntry: UUID
}

extension ProfileStore {
    /// A person's decision about a purpose, with its row locked until the transaction ends, so that a
    /// withdrawal comes either before the effect, and is seen, or after it. Of several profiles of the person
    /// the latest decision holds; on a tie the withdrawal.
    package func lockConsent(
        of person: Person, purpose: String, in transaction: PostgresTransaction
    ) async throws -> StoredConsent? {
        let rows = try await transaction.query(
            """
            SELECT c.profile_id, c.purpose, c.state, c.at, c.ledger_entry
            FROM profiles.consent_state c
            WHERE (c.shard, c.profile_id) IN (
                    SELECT * FROM unnest(\(person.memberIDs.map { Shard($0) })::smallint[],
                                         \(person.memberIDs)::uuid[]))
                AND c.purpose = \(purpose)
            ORDER BY c.shard, c.profile_id
            FOR SHARE OF c
            """)
        return try rows.map(Self.consent).max { Self.yields($0, to: $1) }
    }

    /// All decisions of a person, by purpose.
    package func consents(
        of person: Person, in session: some PostgresSession
    ) async throws -> [String: StoredConsent] {
        let rows = try await session.query(
            """
            SELECT c.profile_id, c.purpose, c.state, c.at, c.ledger_entry
            FROM unnest(\(person.memberIDs.map { Shard($0) })::smallint[], \(person.memberIDs)::uuid[])
                 AS w (shard, id)
            JOIN profiles.consent_state c ON c.shard = w.shard AND c.profile_id = w.id
            """)
        return Dictionary(try rows.map(Self.consent).map { ($0.purpose, $0) }) { left, right in
            Self.yields(left, to: right) ? right : left
        }
    }

    /// The same of many people, by their canonical profiles.
    package func consents(
        of people: some Sequence<Person>, in session: some PostgresSession
    ) async throws -> [ProfileID: [String: StoredConsent]] {
        var owners: [ProfileID: ProfileID] = [:]
        for person in people { for member in person.memberIDs { owners[member] = person.profileID } }
        guard !owners.isEmpty else { return [:] }
        let members = Array(owners.keys)
        let rows = try await session.query(
            """
            SELECT c.profile_id, c.purpose, c.state, c.at, c.ledger_entry
            FROM unnest(\(members.map { Shard($0) })::smallint[], \(members)::uuid[]) AS w (shard, id)
            JOIN profiles.consent_state c ON c.shard = w.shard AND c.profile_id = w.id
            """)
        var found: [ProfileID: [String: StoredConsent]] = [:]
        for consent in try rows.map(Self.consent) {
            guard let owner = owners[consent.profileID] else { continue }
            let known = found[owner]?[consent.purpose]
            if known.map({ Self.yields($0, to: consent) }) ?? true {
                found[owner, default: [:]][consent.purpose] = consent
            }
        }
        return found
    }

    /// What the people of some names have said, as one statement to be sent together with others.
    package struct SayingByName: Sendable {
        package let statement: SQL
        private let names: [Identifier]

        fileprivate init(_ names: [Identifier], _ key: IdentifierKey) {
            self.names = names
            let places = names.map(key.place)
            // By the profile that the name led to first, as that is mostly the person's canonical one still.
            statement = """
                SELECT w.number, i.profile_id AS owner, c.profile_id AS member, s.purpose, s.state, s.at
                FROM unnest(\(binary: places.map(\.shard)), \(places.map(\.kind.rawValue))::text[],
                            \(places.map(\.hash))::bytea[]) WITH ORDINALITY AS w (shard, type, value_hash, number)
                JOIN profiles.identifier i USING (shard, type, value_hash)
                LEFT JOIN profiles.profile c ON c.canonical_id = i.profile_id
                LEFT JOIN profiles.consent_state s ON s.shard = c.shard AND s.profile_id = c.profile_id
                """
        }

        /// One whom names lead to.
        package struct Person: Sendable {
            package let profileID: ProfileID
            package fileprivate(set) var memberIDs: Set<ProfileID>
            /// What stands, by purposes.
            package fileprivate(set) var said: [String: (state: ConsentChange.State, at: Instant)] = [:]
        }

        /// The people in the rows of the statement, and the names of those who were merged into somebody else: they have to be
        /// asked for in the long way.
        package func people(_ rows: [PostgresRow]) throws -> (
            found: [Identifier: Person], merged: Set<Identifier>
        ) {
            var people: [Int: Person] = [:]
            var merged: Set<Identifier> = []
            for row in rows {
                let number = try row.get("number", as: Int.self) - 1
                guard let member = try row.get("member", as: ProfileID?.self) else {
                    merged.insert(names[number])
                    continue
                }
                if people[number] == nil {
                    people[number] = Person(profileID: try row.get("owner"), memberIDs: [member])
                }
                people[number]?.memberIDs.insert(member)
                guard let purpose = try row.get("purpose", as: String?.self) else { continue }
                // Whatever isn't known to be a grant must not be taken for one.
                let state = ConsentChange.State(rawValue: try row.get("state")) ?? .withdrawn
                let at: Instant = try row.get("at")
                if let known = people[number]?.said[purpose],
                    known.at != at ? known.at > at : known.state == .withdrawn
                {
                    continue
                }
                people[number]?.said[purpose] = (state, at)
            }
            return (Dictionary(uniqueKeysWithValues: people.map { (names[$0], $1) }), merged)
        }
    }

    package func sayings(by names: [Identifier]) -> SayingByName { SayingByName(names, key) }

    private static func consent(_ row: PostgresRow) throws -> StoredConsent {
        let state: String = try row.get("state")
        return StoredConsent(
            profileID: try row.get("profile_id"), purpose: try row.get("purpose"),
            // Whatever isn't known to be a grant must not be taken for one.
            state: ConsentChange.State(rawValue: state) ?? .withdrawn, at: try row.get("at"),
            ledgerEntry: try row.get("ledger_entry"))
    }

    private static func yields(_ left: StoredConsent, to right: StoredConsent) -> Bool {
        left.at != right.at ? left.at < right.at : left.state == .granted && right.state == .withdrawn
    }
}
