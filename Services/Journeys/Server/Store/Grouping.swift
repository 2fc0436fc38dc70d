import JourneysDomain
import Models
import Postgres
import ProfileStore

/// Some profiles with everybody who is taken for one with any of them, by this service or by identity. All are locked,
/// and identity was asked after that.
struct Grouping {
    private struct Standing {
        /// Who holds the journeys here.
        var holder: ProfileID
        /// Who is canonical by identity.
        var canonical: ProfileID
        var isErased: Bool
    }

    private var standings: [ProfileID: Standing] = [:]
    /// What the holders remember.
    private(set) var memories: [ProfileID: ProfileMemory] = [:]

    init(_ rows: [ProfileID: ProfileTables.LockedProfile], _ known: [ProfileID: ProfileStanding]) {
        for id in rows.keys {
            var holder = id
            while let survivor = rows[holder]?.survivor { holder = survivor }
            // Of somebody whom identity doesn't know there is nothing but what was told.
            standings[id] = Standing(
                holder: holder, canonical: known[id]?.canonicalID ?? known[holder]?.canonicalID ?? holder,
                isErased: known[id]?.isErased ?? false)
            if holder == id { memories[id] = rows[id]?.memory }
        }
    }

    var profiles: Set<ProfileID> { Set(standings.keys) }
    var erased: Set<ProfileID> { Set(standings.filter(\.value.isErased).keys) }
    /// Whether everybody is whose they are by identity.
    var isUpToDate: Bool { standings.values.allSatisfy { $0.holder == $0.canonical } }

    func holder(of id: ProfileID) -> ProfileID { standings[id]?.holder ?? id }
    func canonical(of id: ProfileID) -> ProfileID { standings[id]?.canonical ?? id }
    func holders(of ids: Set<ProfileID>) -> Set<ProfileID> { Set(ids.map { holder(of: $0) }) }

    /// Everybody whose journeys a holder has.
    func held(by holder: ProfileID) -> Set<ProfileID> {
        Set(standings.filter { $0.value.holder == holder }.keys)
    }

    /// Everybody who is one person, by the canonical profiles.
    var people: [ProfileID: Set<ProfileID>] {
        Dictionary(grouping: standings.keys, by: { canonical(of: $0) }).mapValues { Set($0) }
    }

    /// The people of whom somebody is held together with somebody else.
    var torn: [ProfileID: Set<ProfileID>] {
        let holders = Dictionary(grouping: standings.values, by: \.holder)
            .filter { Set($0.value.map(\.canonical)).count > 1 }
        return people.filter { _, members in members.contains { holders[holder(of: $0)] != nil } }
    }

    /// The people who are held by several, or by somebody who isn't canonical.
    var scattered: [ProfileID: Set<ProfileID>] {
        people.filter { id, members in members.contains { holder(of: $0) != id } }
    }

    /// Notes who holds somebody's journeys now.
    mutating func hand(_ ids: Set<ProfileID>, to holder: ProfileID) {
        for id in ids { standings[id]?.holder = holder }
        memories = memories.filter { self.holder(of: $0.key) == $0.key }
    }
}

extension ProfileTables {
    /// Locks the profiles with everybody who is taken for one with them, shard by shard, and asks identity after that.
    ///
    /// Who else is to be locked is known only from what is locked. So it takes several turns where there is more to
    /// lock; two transactions that come to wait for each other by it are told so by the database, and one is run again.
    func grouping(of ids: Set<ProfileID>, by profiles: ProfileStore) async throws -> Grouping {
        var rows: [ProfileID: LockedProfile] = [:]
        var wanted = ids
        while true {
            rows.merge(try await lock(wanted.subtracting(rows.keys))) { $1 }
            var all = Set(rows.keys).union(rows.values.compactMap(\.survivor))
            all.formUnion(try await standing(forAnyOf: all).map(\.profile))
            let known = try await profiles.standings(ofAllWith: all, in: transaction)
            all.formUnion(known.keys)
            if all.count == rows.count { return Grouping(rows, known) }
            wanted = all
        }
    }

    /// Everybody whom one of the profiles stands for.
    func standing(
        forAnyOf holders: Set<ProfileID>
    ) async throws -> [(profile: ProfileID, holder: ProfileID)] {
        guard !holders.isEmpty else { return [] }
        return try await transaction.query(
            """
            SELECT profile_id, survivor_id FROM journeys.profile
            WHERE survivor_id = ANY(\(holders.sorted())::uuid[])
            """
        ).map { (profile: try $0.get("profile_id"), holder: try $0.get("survivor_id")) }
    }
}
