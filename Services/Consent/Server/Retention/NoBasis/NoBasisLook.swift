import ConsentDomain
import Models
import Postgres
import ProfileStore

/// Looks at people and says who of them nothing permits to hold.
struct NoBasisLook: Sendable {
    let profiles: ProfileStore
    let rule: NoBasisRule
    let policy: ConsentPolicy
    /// Since when the policy has had the grounds that it has.
    let grounds: Instant
    let now: Instant

    /// Those of people who are to be erased, in their order.
    func lacking(
        among people: [NoBasisPerson], in session: some PostgresSession
    ) async throws -> [NoBasisPerson] {
        // Whoever is younger than the time can't have been without for so long.
        let old = people.filter { $0.knownSince < rule.boundary(now: now) }
        guard !old.isEmpty, grounds < rule.boundary(now: now) else { return [] }
        let consents = try await profiles.consents(of: old.map(\.person), in: session)
        var known: [(person: NoBasisPerson, grounds: KnownGrounds)] = old.map { person in
            let words = (consents[person.profileID] ?? [:]).mapValues { ConsentWord($0.state, at: $0.at) }
            return (person, KnownGrounds(knownSince: person.knownSince, words: words))
        }
        // Contracts are read off timelines, so only of those whom nothing else holds.
        known = known.filter { lacks($0.grounds) }
        if let contract = rule.contract {
            let last = try await NoBasisStore.last(
                contract.events, of: known.flatMap(\.person.memberIDs),
                since: now - contract.within - rule.after - .hours(1), in: session)
            known = known.filter { person, grounds in
                var grounds = grounds
                grounds.lastContract = person.memberIDs.compactMap { last[$0] }.max()
                return lacks(grounds)
            }
        }
        let kept = try await NoBasisStore.kept(known.flatMap(\.person.memberIDs), in: session)
        return known.map(\.person).filter { kept.isDisjoint(with: $0.memberIDs) }
    }

    private func lacks(_ person: KnownGrounds) -> Bool {
        policy.lacksBasis(person, since: grounds, by: rule, now: now)
    }
}

/// What a policy would come to now.
struct NoBasisCount: Sendable {
    var people: Int64 = 0
    var withoutBasis: Int64 = 0
    /// Whether everybody was looked at; else whole shards of them were, which are a fair sample.
    var isComplete = true

    /// So many people are looked at while a caller waits.
    static let most: Int64 = 100_000
    private static let page = 1_000

    static func of(
        _ look: NoBasisLook, most: Int64 = most, in session: some PostgresSession
    ) async throws -> NoBasisCount {
        var count = NoBasisCount()
        var place = NoBasisPlace.start
        while true {
            let people = try await NoBasisStore.people(after: place, limit: page, in: session)
            count.people += Int64(people.count)
            count.withoutBasis += Int64(try await look.lacking(among: people, in: session).count)
            if people.count == page, let last = people.last {
                place.after = last.profileID
                continue
            }
            guard let next = place.next else { return count }
            guard count.people < most else {
                count.isComplete = false
                return count
            }
            place = next
        }
    }
}
